#!/usr/bin/env bash
# train_test.sh SODA MPIEXEC SOURCE: the program as shipped on simulated GPUs. Training gives the same bytes on one rank and on
# two, whose sums go through NCCL's stand-in, and nearly those of the CPU; a checkpoint of one backend resumes on the other;
# pictures are drawn.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"
export SODA_CUDA_PLUGIN=libsoda_cusim.so SODA_CUSIM_GPUS=2 CUSIM_CHECK=0 TMPDIR=$work
sed -i 's/steps: 10/steps: 2/; s/global_batch: 4/global_batch: 2/; s/every: 3/every: 1/; s/warmup: 3/warmup: 1/' run.yaml

# losses NAME: what metrics.jsonl says of each step, to six digits.
losses() { sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' "$1/run/metrics.jsonl" | cut -c 1-7; }

"$soda" selftest --backend cuda >log 2>&1 || { cat log >&2; exit 1; }
grep -q 'U-Net, bf16 .*ok' log || fail "selftest on a simulated GPU"

train one 1 --backend cuda || fail "one GPU"
train two 2 --backend cuda || fail "two GPUs"
for file in checkpoints/step-00000002.h5 adapter.safetensors; do cmp "one/run/$file" "two/run/$file" || fail "two GPUs: another $file"; done
says two 'rank 1: '
SODA_CUDA_GRAPHS=0 train plain 2 --backend cuda || fail "without recordings"
for file in checkpoints/step-00000002.h5 adapter.safetensors; do cmp "one/run/$file" "plain/run/$file" || fail "plain: another $file"; done

train host 1 || fail "the CPU"
[ "$(losses one | wc -l)" -eq 2 ] || fail "the metrics of one GPU"
[ "$(losses one)" = "$(losses host)" ] || fail "other losses than on the CPU: $(losses one), $(losses host)"

# A checkpoint after one step goes on where it was not made.
for way in 'cuda cpu' 'cpu cuda'; do
    read -r first second <<<"$way"
    train "from-$first" 1 --backend "$first" --set train.steps=1 || fail "$first, one step"
    train "from-$first" 1 --backend "$second" || fail "from $first to $second"
    says "from-$first" 'at step 1 of 2'
    [ "$(losses "from-$first")" = "$(losses host)" ] || fail "from $first to $second: other losses"
done

"$soda" sample --model "$source/tests/golden/tiny-sd1" --adapter one/run/adapter.safetensors --prompt fox --steps 2 --threads 1 \
    --backend cuda --out pictures >one/log 2>&1 || fail "pictures"
test -s pictures/0000.png

# NCCL does not start on one rank: one message, exit code 1 on all. A rank that is killed in a sum takes the others with it.
rc=0
CUSIM_NCCL_FAIL=1:0 train start 2 --backend cuda || rc=$?
[ "$rc" -eq 1 ] || fail "start: exit code $rc, expected 1"
[ "$(grep -c 'soda: error:' start/log)" -eq 1 ] || fail "start: expected one error"
says start 'rank 1 of 2 '
says start 'NCCL: ncclCommInitRank failed on rank 1 of 2: unhandled system error'
rc=0
CUSIM_NCCL_DIE=1:0 train killed 2 --backend cuda || rc=$?
[ "$rc" -ne 0 ] || fail "killed: exit code 0"
grep -q 'signal 9' killed/log || fail "killed: another end"
[ ! -e killed/run/checkpoints/latest ] || fail "killed: a checkpoint"
