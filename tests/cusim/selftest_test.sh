#!/usr/bin/env bash
# selftest_test.sh SODA MPIEXEC PLUGIN [--all]: soda selftest --gpu --quick on two simulated GPUs ends well; with PLUGIN, whose
# kernel of group_norm is wrong, it goes to its end, names that kernel and fails. --all: without --quick, which leaves out rates
# where GPUs are simulated, and says so.
set -euo pipefail
soda=$1 mpiexec=$2 plugin=$3 all=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 TMPDIR=$work
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=2 CUSIM_CHECK=0 CUSIM_MODEL='simulated A100'

fail() {
    echo "FAILED: $*" >&2
    cat log out >&2
    exit 1
}

# report [OPTION]...: of both ranks, without a failure.
report() {
    "$mpiexec" --oversubscribe --bind-to none -n 2 "$soda" selftest --gpu --json --threads 1 "$@" >out 2>log || fail "two ranks"
    [ "$(grep -c '"rank":' out)" -eq 2 ] || fail "two ranks in the report"
    grep -q '"card": "a100"' out || fail "the card"
    grep -q '"simulated": true' out || fail "a simulated GPU"
    if grep -q '"failed": \(true\|[1-9]\)' out; then fail "a failure"; fi
}

if [ "$all" ]; then
    report
    grep -q '"rates": \[\]' out || fail "rates of a simulated GPU"
    grep -q '"rates_skipped": "a simulated GPU ' out || fail "why there are no rates"
    grep -q '^soda: SKIPPED: rates: ' log || fail "rates are skipped silently"
    grep -q '"name": "steps, bf16"' out || fail "the steps in bf16"
    exit
fi

report --quick
grep -q '"predicted_s"' out || fail "predicted times"
grep -q '"rates_skipped": null' out || fail "the quick rates"

rc=0
SODA_CUDA_PLUGIN=$plugin "$soda" selftest --gpu --quick --threads 1 >out 2>log || rc=$?
[ "$rc" -eq 1 ] || fail "a wrong kernel: exit code $rc, expected 1"
grep -q 'soda: error: selftest: .* checks failed; the first: group_norm: ' log || fail "the wrong kernel is not named"
grep -qE '^group_norm +[0-9]+ +[1-9].* group_norm: case' out || fail "the table has no message of the wrong kernel"
grep -qE '^attention_grad +[1-9][0-9]* +0 ' out || fail "no cases of attention_grad"
grep -qE '^U-Net, fp32 +FAILED' out || fail "a U-Net with a wrong kernel"
grep -qE '^rank 0: .*simulated A100.*, [1-9][0-9]* failed' out || fail "the line of rank 0"
