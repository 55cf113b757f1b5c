#!/usr/bin/env bash
# room_test.sh SODA MPIEXEC SOURCE: a training run that does not fit on its GPU is refused before anything is loaded, and told
# what would fit; so are GPUs of different models with exact sums.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=4 CUSIM_CHECK=0 TMPDIR=$work

# refused NAME TEXT RANKS BYTES [OPTION]...: on GPUs with so much memory: exit code 1, one error, which holds TEXT; nothing began.
refused() {
    local name=$1 text=$2 ranks=$3 rc=0
    export CUSIM_MEMORY=$4
    shift 4
    train "$name" "$ranks" --backend cuda "$@" || rc=$?
    [ "$rc" -eq 1 ] || fail "$name: exit code $rc, expected 1"
    one_error "$name" "$text"
    if grep -qE 'encode|factorise|training' "$name/log"; then fail "$name: it began"; fi
    [ ! -e "$name/run/metrics.jsonl" ] || fail "$name: a run began"
}
refused batch 'would fit: train.batch: 2 (' 1 6000000 --set train.batch=4
refused ranks 'would fit: train.batch: 2 (' 2 6000000 --set train.batch=4
grep -q 'cuda:0 simulated GPU: this run needs .* GiB: weights .*, activations .* (train.batch 4, every block recomputed), adapters' \
    ranks/log || fail "the kinds of memory"
refused none 'no smaller setting was found that fits' 1 1000000

# What it says would fit: recomputation, a larger group of ranks that hold the weights between them, and both with a smaller batch.
refused recompute 'would fit: train.recompute: auto (' 1 5000000 --set train.recompute=none
shard=(--set parallel.weights=shard --set parallel.ring=0.4)
refused shard 'would fit: parallel.weights: shard with parallel.shard: 4 (' 4 3780000 --set parallel.shard=2 "${shard[@]}"
refused both 'would fit: parallel.weights: shard with parallel.shard: 4 and train.batch: 1 and train.recompute: auto (' 4 3780000 \
    --set parallel.shard=2 --set train.batch=4 --set train.global_batch=16 --set train.recompute=none "${shard[@]}"

# It does fit.
one_step=(--set train.steps=1 --set train.schedule.warmup=1 --set train.global_batch=1 --backend cuda)
CUSIM_MEMORY=5000000 train recomputes 1 "${one_step[@]}" --set train.recompute=auto || fail "recomputes: it does not fit"
CUSIM_MEMORY=3780000 train shards 4 "${one_step[@]}" --set parallel.shard=4 "${shard[@]}" || fail "shards: it does not fit"

# GPUs of different models: no matter where weights are.
rc=0
unset CUSIM_MEMORY
mkdir models
unlike 'export CUSIM_MODEL=other' true "$soda" train run.yaml --backend cuda --set output=models/run >models/log 2>&1 || rc=$?
[ "$rc" -eq 1 ] || fail "models: exit code $rc, expected 1"
one_error models 'expected GPUs of one model, as results must not depend on which rank computes what: rank 0 has other, this rank'
