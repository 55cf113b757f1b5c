#!/usr/bin/env bash
# exchange_test.sh PROGRAM MPIEXEC nccl|host|halt|stall: ranks/exchange.c under every order of streams, with ranks that are late, that
# are killed, that call something else; and NCCL's calls fail one after the other.
set -euo pipefail
program=$1 mpiexec=$2 way=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir room
export TMPDIR=$work/room OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_orte_tmpdir_base=$work
export SODA_CUSIM_GPUS=4 CUSIM_SEED=$((RANDOM + 1))

fail() {
    echo "FAILED (CUSIM_SEED=$CUSIM_SEED): $*" >&2
    cat log >&2
    exit 1
}

# exchange RANKS HOW [NAME=VALUE]...: returns 124 after a minute, else whatever mpirun makes of the ranks, which outlive each other.
exchange() {
    local ranks=$1 how=$2
    shift 2
    env "$@" timeout 60 "$mpiexec" --oversubscribe --bind-to none --enable-recovery -n "$ranks" "$program" "$how" >log 2>&1
}

# failing MESSAGE HOW [NAME=VALUE]...: two ranks end by themselves, and one of them says this.
failing() {
    local message=$1 rc=0
    shift
    exchange 2 "$@" || rc=$?
    [ "$rc" -ne 124 ] || fail "it hangs: $*"
    [ "$(grep -cE "$message" log)" -eq 1 ] || fail "expected one message, $message: $*"
}

# What a watchdog finds after 3 s, and 5 more of grace (comm/watchdog.h): a GPU that never comes to the next collective, and a
# collective to which one never gives its part, where nobody can tell whose fault it is.
if [ "$way" = halt ]; then
    failing 'error: rank 1 of 2 on .* is behind: it entered [0-9]+ collectives, others up to [0-9]+ \(all-reduce\); last in start-up, in all-reduce' \
        watched CUSIM_NCCL_HALT=1:2
    exit
elif [ "$way" = stall ]; then
    failing 'error: rank 0 of 2 on .* and all others wait for each other in collective number [0-9]+; last .*in all-reduce' \
        watched CUSIM_NCCL_STALL=1:2
    exit
fi

exact() {
    exchange "$@" || fail "exit code $?: $*"
    if grep -q failed log; then fail "$*"; fi
}
for ranks in 1 2 3; do exact "$ranks" plain; done
for streams in eager random; do
    exact 3 plain CUSIM_STREAMS=$streams CUSIM_NCCL_DELAY=20
done
[ "$way" = nccl ] || { echo "no NCCL in this build: its faults were not tried"; exit 0; }
exact 3 late CUSIM_NCCL_DELAY=20
exact 2 watched
if compgen -G 'room/cusim-nccl-*' >/dev/null; then fail "files are left"; fi

failing 'NCCL: crossed collectives: number 4 of rank 1 is an all-reduce of 1802 numbers' crossed
failing 'failed: NCCL: all-reduce failed on rank 0 of 2: remote process exited' plain CUSIM_NCCL_DIE=1:3
# Each of rank 0's calls: start, all-reduce, the questions in between.
for call in 0 1 2 3 4 6 9 14; do
    failing 'failed: NCCL: .* failed on rank 0 of 2: unhandled system error' plain CUSIM_NCCL_FAIL=0:$call
done
