#!/usr/bin/env bash
# faults_test.sh SODA MPIEXEC SOURCE [--all]: one call after the other of a training run on two simulated GPUs that share the
# weights fails: an allocation, a launch, a kernel while it runs, a copy, an event, cuBLASLt, cuSOLVER, a collective of NCCL (its
# other calls: exchange_test.sh). Each time one message, exit code 1 of all, no hang, no adapter, no file half written. One place
# of each kind on rank 0, --all: 12 on each rank; the test says of how many.
all=${4:-}
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=2 CUSIM_CHECK=0 TMPDIR=$work
sed -i 's/steps: 10/steps: 1/; s/every: 3/every: 1/; s/warmup: 3/warmup: 1/; s/global_batch: 4/global_batch: 2/' run.yaml
per_rank=1
[ -z "$all" ] || per_rank=12

# run NAME: one step, a micro-batch on each GPU.
run() {
    timeout 120 "$mpiexec" --oversubscribe --bind-to none -n 2 "$soda" train run.yaml --threads 1 --backend cuda \
        --set parallel.weights=shard --set parallel.shard=2 --set parallel.ring=0.4 --set "output=$1/run" >"$1/log" 2>&1 </dev/null
}

mkdir whole
run whole || fail "the run without a failure"
cp -r cache filled
rm -r whole cache/factors
mkdir whole
CUSIM_CALLS=$work/calls run whole || fail "the run that counts"

# cuSOLVER finds no SVD of any weight.
rm -r cache/factors
mkdir diverged
rc=0
CUSIM_SOLVER_INFO=3 run diverged || rc=$?
[ "$rc" -eq 1 ] || fail "diverged: exit code $rc, expected 1"
one_error diverged 'cuSOLVER did not converge: its info is 3'
[ ! -e diverged/run/adapter.safetensors ] || fail "diverged: an adapter"

# broken KIND RANK NUMBER: that call fails, in a run with encoded pictures and without bases.
broken() {
    local rc=0
    rm -rf cache broken
    cp -r filled cache
    rm -r cache/factors
    mkdir broken
    CUSIM_FAIL=$1:$2:$3 run broken || rc=$?
    if [ "$rc" -eq 0 ]; then # what fails while the room is estimated, or while memory is freed, does not matter
        cmp whole/run/adapter.safetensors broken/run/adapter.safetensors || fail "$*: another adapter"
        return 0
    fi
    ended=$((ended + 1))
    [ "$rc" -eq 1 ] || fail "$*: exit code $rc, expected 1"
    [ "$(grep -c 'soda: error:' broken/log)" -eq 1 ] || fail "$*: expected one error"
    grep 'soda: error:' broken/log | grep -q "rank $2 of 2" || fail "$*: another rank speaks"
    [ ! -e broken/run/adapter.safetensors ] || fail "$*: an adapter"
    if compgen -G 'broken/run/*.tmp-*' >/dev/null; then fail "$*: a file that is half written"; fi
}

for rank in 0 1; do
    while read -r kind count; do
        tried=0 ended=0
        for ((i = 0; i < per_rank && i < count; i++)); do
            # rank 0's in the second half of a part of the run, rank 1's in the first
            place=$((count * (4 * i + 3 - 2 * rank) / (4 * per_rank)))
            [ "$place" -lt "$count" ] || continue
            broken "$kind" "$rank" "$place"
            tried=$((tried + 1))
        done
        echo "rank $rank, $kind: $tried of $count places tried, $ended ended the run"
        [ "$ended" -gt 0 ] || fail "rank $rank, $kind: no place ended the run"
    done <"calls-$rank"
    [ "$all" ] || break # the other rank: with --all
done
