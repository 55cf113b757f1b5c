#!/usr/bin/env bash
# Every policy of parallel.weights and every data x shard layout on 1 to 6 ranks leaves the files of one rank, but times:
# both methods in fp32 and bf16, with mse and prior or with DCO; always with buckets, text encoders, recomputation, held-out
# losses and pictures. Of the many runs that it takes, ranks_test.sh, weights_test.sh and shard_test.sh make some. The first
# argument behind those of lib.sh, if there is one, is a pattern of modes: 'soda_lq-bf16-*'.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
modes=${4:-*}

draw_wide
everything=(--set data.path="$work/wide" --set data.buckets=true --set adapter.text_encoder=true --set train.recompute=full
    --set train.steps=4 --set train.global_batch=6 --set checkpoint.every=3 --set validation.every=2
    --set "validation.path=$work/wide" --set validation.pictures=3 --set sample.every=2 --set sample.steps=2
    --set 'sample.prompts=["a fox", "a house", "a key"]')
declare -A losses=([prior]="data.prior={path: $images/test, weight: 0.5}" [dco]="train.loss=dco")

# compared NAME RANKS [OPTION]...: a run of this mode, which leaves the files of the run `one`.
compared() {
    local name=$1
    train "$@" "${options[@]}" || fail "$mode: $name"
    diff -r -x metrics.jsonl -x config.yaml one/run "$name/run" >&2 || fail "$mode: $name: other files than on one rank"
    grep validation_loss "$name/run/metrics.jsonl" | cmp - expected || fail "$mode: $name: another held-out loss"
    rm -r "$name"
    runs=$((runs + 1))
}

runs=0
for mode in soda_{svd,lq}-{fp32,bf16}-{prior,dco}; do
    # shellcheck disable=SC2053 # a pattern
    [[ $mode == $modes ]] || continue
    IFS=- read -r method dtype loss <<<"$mode"
    options=("${everything[@]}" --set "adapter.method=$method" --set "train.dtype=$dtype" --set "${losses[$loss]}")
    rm -rf one
    train one 1 "${options[@]}" || fail "$mode: one rank"
    grep validation_loss one/run/metrics.jsonl >expected || fail "$mode: no held-out loss"
    for ranks in 1 2 3 4 5 6; do
        [ $ranks -eq 1 ] || compared "replicate-$ranks" $ranks
        compared "node-$ranks" $ranks --set parallel.weights=node
        for shard in 2 3 4 5 6; do
            [ $((ranks % shard)) -eq 0 ] || continue
            shards=(--set parallel.weights=shard --set "parallel.shard=$shard" --set parallel.ring=0.4)
            compared "mapped-${ranks}x$shard" $ranks "${shards[@]}"
            (export LD_PRELOAD; LD_PRELOAD=$(dirname "$soda")/tests/libsoda_test_no_shared_memory.so # as on several nodes
                compared "apart-${ranks}x$shard" $ranks "${shards[@]}")
            runs=$((runs + 1))
        done
    done
    echo "$mode: as on one rank"
done
[ "$runs" -gt 0 ] || fail "no mode is called $modes"
echo "$runs runs with the bits of one rank"
