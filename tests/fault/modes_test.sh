#!/usr/bin/env bash
# Every way to train has the same bits on 1 and on 2 ranks, and an adapter that the other verbs take.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# mode NAME MODEL [OPTION]...: four steps on one rank and on two; everything but times is the same.
mode() {
    local name=$1 model=$2 ranks
    shift 2
    for ranks in 1 2; do
        train "$name$ranks" "$ranks" --set model="$model" --set train.steps=4 "$@" || fail "$name: $ranks ranks"
    done
    diff -r -x metrics.jsonl "${name}1/run" "${name}2/run" >&2 || fail "$name: not the same on two ranks"
    local metrics=${name}2/run/metrics.jsonl
    [ "$(grep -c '"grad_norm"' "$metrics")" -eq 4 ] || fail "$name: metrics.jsonl does not have four steps"
    if grep -q '"grad_norm": 0,' "$metrics"; then fail "$name: a gradient of zero"; fi
    "$soda" sample --model "$model" --adapter "${name}2/run/adapter.safetensors" --prompt "a red fox" --steps 2 \
        --width 32 --height 32 --threads 1 --out "$name-pictures" >>"${name}2/log" 2>&1 || fail "$name: soda sample"
    "$soda" inspect "${name}2/run" >"$name-inspect" 2>>"${name}2/log" || fail "$name: soda inspect"
    grep -q 'degrees of freedom' "$name-inspect" || fail "$name: soda inspect does not tell of the adapter"
}

# differs NAME OTHER: two modes are not the same run.
differs() {
    if cmp -s "${1}1/run/adapter.safetensors" "${2}1/run/adapter.safetensors"; then fail "$1: the same as $2"; fi
}

mode svd "$tiny_sd1"
mode lq "$tiny_sd1" --set adapter.method=soda_lq
differs lq svd
mode batch "$tiny_sd1" --set train.batch=2 --set train.global_batch=4
mode dco "$tiny_sd1" --set train.loss=dco --set train.dco_beta=10 --set train.batch=2
differs dco batch
mode prior "$tiny_sd1" --set "data.prior={path: $images/test, weight: 0.5}"
differs prior svd
mode bf16 "$tiny_sd1" --set train.dtype=bf16
differs bf16 svd
mode sgd "$tiny_sd1" --set train.optimizer.rotation.type=sgd
differs sgd svd

# The text encoders in the graph: their layers are in the adapter.
mode text "$tiny_sd1" --set adapter.text_encoder=true
grep -q 'text_encoder\.' text1/run/adapter.safetensors || fail "text: no layer of the text encoder"
mode xl "$tiny_sdxl" --set adapter.text_encoder=true --set adapter.method=soda_lq
grep -q 'text_encoder_2\.' xl1/run/adapter.safetensors || fail "xl: no layer of the second text encoder"
mode xldco "$tiny_sdxl" --set train.loss=dco --set train.dco_beta=10

draw_wide
mode buckets "$tiny_sd1" --set data.path="$work/wide" --set data.buckets=true --set train.batch=2
mode xlbuckets "$tiny_sdxl" --set data.path="$work/wide" --set data.buckets=true --set adapter.text_encoder=true

# Pictures along the way and at the end, and the held-out loss.
mode samples "$tiny_sd1" --set sample.every=2 --set sample.steps=2 --set 'sample.prompts=["a fox", "a house", "a key"]'
for step in 0 2 4; do
    for prompt in 0 1 2; do
        [ -s "samples1/run/samples/step-0000000$step-$prompt.png" ] || fail "samples: no picture of step $step"
    done
done
if cmp -s samples1/run/samples/step-0000000{0,4}-0.png; then fail "samples: step 4 draws as step 0"; fi
cmp svd1/run/adapter.safetensors samples1/run/adapter.safetensors || fail "samples: drawing changed the run"

mode held "$tiny_sd1" --set validation.path="$images/test" --set validation.every=2 --set validation.pictures=3 \
    --set sample.steps=2 --set adapter.text_encoder=true
[ -s held1/run/samples/validation.png ] || fail "held: no validation.png"
cmp text1/run/adapter.safetensors held1/run/adapter.safetensors || fail "held: measuring changed the run"
for name in held1 held2; do
    grep validation_loss "$name/run/metrics.jsonl" >"$name/losses"
    steps=$(cut -d, -f1 "$name/losses" | tr -dc '0-9\n' | tr '\n' ' ')
    [ "$steps" = "0 2 4 " ] || fail "$name: measured at steps $steps"
done
cmp held1/losses held2/losses || fail "held: another loss on two ranks"
echo "all modes have the same bits on 1 and 2 ranks, and adapters that can be used"
