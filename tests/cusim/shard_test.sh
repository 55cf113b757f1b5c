#!/usr/bin/env bash
# shard_test.sh SODA MPIEXEC SOURCE [--all]: the program as shipped, with weights that simulated GPUs hold between them: the
# bytes of one GPU that holds them all, on 4 GPUs, resumed with another choice, and with soda_lq, DCO and bf16. --all: more
# layouts, other orders of streams, with all checks, SDXL and everything that a run can do at once.
all=${4:-}
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=4 CUSIM_CHECK=0 TMPDIR=$work
sed -i 's/steps: 10/steps: 3/; s/every: 3/every: 1/; s/warmup: 3/warmup: 1/; s/global_batch: 4/global_batch: 2/; s/flip: true/flip: false/' run.yaml

# sharded NAME RANKS SHARD [OPTION]...: the ring goes round several times in a run of the network.
sharded() {
    local name=$1 ranks=$2 shard=$3
    shift 3
    train "$name" "$ranks" --backend cuda --set parallel.weights=shard --set "parallel.shard=$shard" --set parallel.ring=0.4 "$@"
}

# equal NAME [WITH]: adapter and last checkpoint, with the optimizer's state, are those of the run WITH, by default `one`.
equal() {
    for file in checkpoints/step-00000003.h5 adapter.safetensors; do
        cmp "${2:-one}/run/$file" "$1/run/$file" || fail "$1: another $file"
    done
}

# mode NAME [OPTION]...: two GPUs that share the weights leave what one GPU leaves, losses between the steps and pictures too.
mode() {
    local name=$1
    shift
    train "$name-one" 1 --backend cuda "$@" || fail "$name: one GPU"
    sharded "$name" 2 2 "$@" || fail "$name: two GPUs that share the weights"
    equal "$name" "$name-one"
    for each in "$name-one" "$name"; do
        sed -n 's/.*\("step": *[0-9]*\).*\("[a-z_]*loss": *[^,}]*\).*/\1 \2/p' "$each/run/metrics.jsonl" >"$each/losses"
        (cd "$each/run" && find . -name '*.png' -exec sha256sum {} + | sort) >"$each/pictures"
    done
    [ -s "$name/losses" ] || fail "$name: no losses"
    cmp "$name-one/losses" "$name/losses" || fail "$name: other losses"
    cmp "$name-one/pictures" "$name/pictures" || fail "$name: other pictures"
}

train one 1 --backend cuda || fail "one GPU"
sharded four 4 2 || fail "four GPUs in two groups"
equal four
grep -q 'weights .* MiB (1/2 of .* MiB, and a ring of 0.4 MiB)' four/log || fail "the log does not tell how weights are held"

# Begun on two GPUs that share the weights, gone on with one that holds them all.
sharded resumed 2 2 --set train.steps=1 || fail "one step with shards"
train resumed 1 --backend cuda || fail "from shards to one GPU"
equal resumed

small=(--set data.resolution=32 --set train.dtype=bf16)
dco=(--set train.loss=dco --set train.dco_beta=10)
mode dco "${small[@]}" "${dco[@]}" --set adapter.method=soda_lq

if [ "$all" ]; then
    train two 2 --backend cuda || fail "two GPUs, each with all weights"
    equal two
    for layout in 2x2 4x4; do
        sharded "shard$layout" "${layout%x*}" "${layout#*x}" || fail "$layout"
        equal "shard$layout"
    done
    train back 2 --backend cuda --set train.steps=2 || fail "two steps without shards"
    sharded back 4 2 || fail "from two GPUs to shards"
    equal back
    for streams in eager random; do
        CUSIM_CHECK=1 CUSIM_STREAMS=$streams CUSIM_NCCL_DELAY=2 sharded "$streams" 2 2 || fail "checks, $streams streams"
        equal "$streams"
    done
    mode xl "${small[@]}" "${dco[@]}" --set model="$tiny_sdxl" --set adapter.method=soda_svd
    mode everything "${small[@]}" "${dco[@]}" --set model="$tiny_sdxl" --set adapter.method=soda_lq --set adapter.text_encoder=true \
        --set train.recompute=full --set validation.every=3 --set "validation.path=$images/test" --set validation.pictures=2 \
        --set sample.every=3 --set sample.steps=1 --set 'sample.prompts=["a fox", "a key"]'
    [ "$(grep -c validation_loss everything/losses)" -eq 2 ] || fail "everything: held-out losses at steps 0 and 3"
    [ "$(wc -l <everything/pictures)" -eq 5 ] || fail "everything: two pictures of each of steps 0 and 3, and one of the held-out ones"
    mode prior "${small[@]}" --set "data.prior={path: $images/test, weight: 0.5}"

    mkdir wide
    for size in 96x48 48x96; do
        "$soda" sample --model "$tiny_sd1" --prompt "a red fox" --steps 1 --threads 1 --out "wide/$size" \
            --width "${size%x*}" --height "${size#*x}" 2>>one/log || fail "soda sample of $size"
        mv "wide/$size/0000.png" "wide/$size.png"
        echo "a fox of $size" >"wide/$size.txt"
        rmdir "wide/$size"
    done
    mode buckets "${dco[@]}" --set data.path="$work/wide" --set data.buckets=true --set data.crop=center
fi

# One copy for a node is for ranks that share memory.
rc=0
train node 2 --backend cuda --set parallel.weights=node || rc=$?
[ "$rc" -eq 1 ] || fail "node: exit code $rc, expected 1"
one_error node 'cannot be shared: use replicate or shard'

# A rank on which NCCL fails in the middle of a step ends all, with one message, and leaves no adapter.
rc=0
CUSIM_NCCL_FAIL=1:150 sharded broken 2 2 || rc=$?
[ "$rc" -eq 1 ] || fail "broken: exit code $rc, expected 1"
one_error broken 'failed on rank 1 of 2: unhandled system error'
[ ! -e broken/run/adapter.safetensors ] || fail "broken: an adapter"
