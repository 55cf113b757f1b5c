#!/usr/bin/env bash
# user_test.sh SODA MPIEXEC SOURCE: what users do, with the program as shipped on a simulated GPU: pictures and held-out
# losses of a run, bf16, text encoders, recomputation, buckets, export, replay, bench. Numbers are the CPU's.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=2 CUSIM_CHECK=0 TMPDIR=$work
sed -i 's/resolution: 64/resolution: 32/; s/steps: 10/steps: 2/; s/global_batch: 4/global_batch: 1/; s/warmup: 3/warmup: 1/' run.yaml

# numbers NAME KEY: what metrics.jsonl says of KEY, to five digits.
numbers() { sed -n "s/.*\"$2\": *\([0-9.]*\).*/\1/p" "$1/run/metrics.jsonl" | cut -c 1-6; }

# both NAME [OPTION]...: two steps on the GPU and on the CPU, with the same losses.
both() {
    local name=$1
    shift
    train "$name" 1 --backend cuda "$@" || fail "$name: cuda"
    train "$name-cpu" 1 "$@" || fail "$name: cpu"
    [ "$(numbers "$name" loss | wc -l)" -eq 2 ] || fail "$name: the metrics of two steps"
    [ "$(numbers "$name" loss)" = "$(numbers "$name-cpu" loss)" ] ||
        fail "$name: losses $(numbers "$name" loss), on the CPU $(numbers "$name-cpu" loss)"
}

# Everything that a run draws and measures on its way; the text encoder is adapted, and activations are computed twice.
mkdir held
cp "$(find "$images/test" -name '*.png' | sort | head -n 1)" held/fox.png
echo "a fox" >held/fox.txt
both all --set adapter.text_encoder=true --set train.recompute=full --set sample.every=2 --set sample.steps=1 \
    --set 'sample.prompts=["a fox"]' --set validation.path="$work/held" --set validation.every=1 --set validation.pictures=1
[ "$(numbers all validation_loss | wc -l)" -eq 3 ] || fail "held-out losses at steps 0, 1, 2"
[ "$(numbers all validation_loss)" = "$(numbers all-cpu validation_loss)" ] || fail "other held-out losses than on the CPU"
for picture in step-00000000-0 step-00000002-0 validation; do
    [ -s "all/run/samples/$picture.png" ] || fail "no $picture.png"
done
if cmp -s all/run/samples/step-0000000{0,2}-0.png; then fail "step 2 draws as step 0"; fi
[ -s all/run/spectra.h5 ] || fail "no spectra.h5"

# Pictures of two shapes, drawn on the GPU, and buckets of them.
mkdir wide
for size in 96x48 48x96; do
    "$soda" sample --model "$tiny_sd1" --prompt "a red fox" --steps 1 --guidance 1 --threads 1 --out "wide/$size" --backend cuda \
        --width "${size%x*}" --height "${size#*x}" >>all/log 2>&1 || fail "soda sample of $size"
    mv "wide/$size/0000.png" "wide/$size.png"
    echo "a fox of $size" >"wide/$size.txt"
    rmdir "wide/$size"
done
both buckets --set data.path="$work/wide" --set data.buckets=true --set data.resolution=64 --set data.crop=center

# bf16: losses are close, not equal.
train bf16 1 --backend cuda --set train.dtype=bf16 || fail "bf16: cuda"
train bf16-cpu 1 --set train.dtype=bf16 || fail "bf16: cpu"
paste <(numbers bf16 loss) <(numbers bf16-cpu loss) | awk '{ if ($1 - $2 > 0.02 * $2 || $2 - $1 > 0.02 * $2) bad = 1; n++ }
    END { exit bad || n != 2 }' || fail "bf16: losses $(numbers bf16 loss), on the CPU $(numbers bf16-cpu loss)"

# What was trained there is exported, merged and looked at.
"$soda" export all/run --to adapter --out adapter.safetensors --backend cuda >>all/log 2>&1 || fail "export to adapter"
cmp adapter.safetensors all/run/adapter.safetensors || fail "the exported adapter"
"$soda" export all/run --to diffusers --out merged --backend cuda >>all/log 2>&1 || fail "export to diffusers"
"$soda" sample --model merged --prompt "a fox" --steps 1 --guidance 1 --threads 1 --out pictures --backend cuda >>all/log 2>&1 ||
    fail "soda sample of the merged model"
"$soda" inspect all/run >inspected 2>&1 || fail "soda inspect"

# A step on tensors from outside: PyTorch's loss, to four digits (tests/train/test_replay.c compares all of it).
batches=("$source"/tests/golden/training/*.batch.safetensors)
name=$(basename "${batches[0]}" .batch.safetensors)
"$soda" replay "$source/tests/golden/training/$name.yaml" --batch "$source/tests/golden/training/$name.batch.safetensors" \
    --out replayed.safetensors --backend cuda >>all/log 2>&1 || fail "soda replay"
[ -s replayed.safetensors ] || fail "soda replay wrote nothing"

# Tables with the times of the device, which this one counts: the same twice.
for i in 1 2; do
    "$soda" bench --arch "$tiny_sd1" --latent 8 --repeat 1 --method soda_svd --backend cuda >"bench-$i" 2>>all/log || fail "soda bench"
done
grep -q 'times of cuda:0 simulated GPU' bench-1 || fail "bench: whose times"
grep -q '^backward: attention_grad' bench-1 || fail "bench: the table by operator"
grep -q 'trainable parameters: forward .* update [0-9.]* s' bench-1 || fail "bench: the phases"
# What depends on the host: how large a product it had the patience for, and memory.
counted() { grep -vE 'peak|memory' "$1" | sed 's/ *[0-9.]*$//'; }
[ "$(counted bench-1)" = "$(counted bench-2)" ] || fail "bench: other times on a simulated GPU"
