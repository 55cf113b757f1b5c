#!/usr/bin/env bash
# Ranks that hold the weights between them (parallel.weights: shard) train the same bits: data x shard layouts on
# 1 to 6 ranks, every way to train, pictures and held-out losses along the way. What fails on one rank ends all.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ring=0.4 # MiB, of 2 to 4 that a run of the network gathers: it goes round

apart=$(dirname "$soda")/tests/libsoda_test_no_shared_memory.so
preload=$apart # as on several nodes; empty: on one

# sharded NAME RANKS SHARD [OPTION]...
sharded() {
    local name=$1 ranks=$2 shard=$3
    shift 3
    LD_PRELOAD=$preload train "$name" "$ranks" --set parallel.weights=shard --set "parallel.shard=$shard" --set "parallel.ring=$ring" "$@"
}

# sharded_until_end NAME FUNCTION CALL: two ranks, on one of which the CALL-th call of FUNCTION fails (collective.c); 124 if they
# hang.
sharded_until_end() {
    local name=$1
    mkdir -p "$name"
    SODA_TEST_FAIL_RANK=1 SODA_TEST_FAIL_IN=$2 SODA_TEST_FAIL_CALL=$3 LD_PRELOAD=$preload timeout 200 "$mpiexec" \
        --oversubscribe --bind-to none -n 2 "$soda" train run.yaml --threads 1 --set "output=$name/run" \
        --set parallel.weights=shard --set parallel.shard=2 --set "parallel.ring=$ring" --set parallel.timeout=null \
        >"$name/log" 2>&1
}

# layouts MODE "RANKSxSHARD..." [OPTION]...: each layout leaves the files of one rank, but times. A second save between the
# steps might come due before the first is written, and be that of another step in each run.
layouts() {
    local mode=$1 layout name seconds
    local list=$2
    shift 2
    set -- --set checkpoint.every=6 "$@"
    rm -rf one
    train one 1 "$@" || fail "$mode: one rank"
    for layout in $list; do
        name=$mode-$layout
        sharded "$name" "${layout%x*}" "${layout#*x}" "$@" || fail "$name"
        diff -r -x metrics.jsonl -x config.yaml one/run "$name/run" >&2 || fail "$name: other files than on one rank"
        if grep validation_loss one/run/metrics.jsonl >losses; then
            grep validation_loss "$name/run/metrics.jsonl" | cmp - losses || fail "$name: another held-out loss"
        fi
        if [ -n "$preload" ]; then seconds='"gather": [0-9.]*[1-9].*"wait": '; else seconds='"gather": 0, "wait": 0'; fi
        grep -q "$seconds" "$name/run/metrics.jsonl" || fail "$name: not the seconds of gathering that are expected"
    done
}

layouts svd "2x2 3x3 4x4 4x2 5x5 6x2 6x3 6x6"
grep -q 'weights .* MiB (1/2 of .* MiB, and a ring of 0.4 MiB)' svd-2x2/log || fail "svd: the log does not tell how weights are held"

# A bench of them tells what it gathered, and for how long it waited.
bench_apart() { LD_PRELOAD=$apart "$mpiexec" --oversubscribe --bind-to none -n 2 "$soda" bench --arch "$tiny_sd1" --latent 8 \
    --repeat 1 --threads 1 --method soda_svd --weights shard --ring 1 "$@" 2>>one/log; }
bench_apart >bench || fail "bench"
grep -q '^weights gathered per run: [1-9][0-9]* MiB in [0-9.]* s, of which the rank waited [0-9.]* s$' bench || fail "bench: $(cat bench)"
bench_apart --json >bench || fail "bench: --json"
tr -d ' \n' <bench | grep -q '"residency":{"bytes":[1-9][0-9]*,"gather_s":[0-9.e-]*[1-9][0-9.e-]*,"wait_s":[0-9.e-]*}' || fail "bench: $(cat bench)"
layouts lq "2x2 4x2" --set adapter.method=soda_lq
layouts idle "3x3 4x4" --set train.global_batch=2 # ranks without a micro-batch
layouts bf16 "2x2" --set train.dtype=bf16 --set train.recompute=full
layouts prior "3x3" --set "data.prior={path: $images/test, weight: 0.5}"
ring=auto
layouts auto "2x2 3x3" # all of it is kept whole, and most
ring=0.4

# On one node the ranks map one copy, which changes no bit either.
preload=
layouts mapped "2x2 3x3 4x4 4x2 6x2"
grep -q 'weights .* MiB (1/2 of [0-9]* MiB)' mapped-2x2/log || fail "mapped: the log does not tell how weights are held"
# Where address space is limited they do not: one copy may need more than there is.
(ulimit -v 16000000 && sharded limited 2 2) || fail "limited: with little address space"
grep -q 'and a ring of 0.4 MiB' limited/log || fail "limited: the ranks map one copy"
cmp one/run/adapter.safetensors limited/run/adapter.safetensors || fail "limited: another adapter"
layouts mapped-lq "4x2" --set adapter.method=soda_lq --set train.dtype=bf16
preload=$apart

# DCO's second network, text encoders, pictures and held-out losses between the steps: three kinds of network.
everything=(--set train.loss=dco --set train.dco_beta=10 --set train.steps=4 --set checkpoint.every=3 --set validation.every=2
    --set "validation.path=$images/test" --set validation.pictures=3 --set sample.every=2 --set sample.steps=2
    --set 'sample.prompts=["a fox", "a house", "a key"]')
layouts all "2x2 4x2 4x4" "${everything[@]}" --set adapter.text_encoder=true
preload=
layouts all-mapped "4x2" "${everything[@]}" --set adapter.text_encoder=true
preload=$apart
layouts allxl "2x2" "${everything[@]}" --set model="$tiny_sdxl" --set adapter.method=soda_lq --set train.dtype=bf16

# Pictures of three shapes: ranks of a group run one shape at a time.
draw_wide
buckets=(--set data.path="$work/wide" --set data.buckets=true --set "validation.path=$work/wide" --set validation.every=3)
layouts buckets "2x2 3x3 4x2" "${buckets[@]}" --set train.loss=dco --set train.dco_beta=10

# Begun with shards, gone on without, on another number of ranks.
rm -rf one
train one 1 || fail "one"
sharded both 2 2 --set train.steps=6 --set checkpoint.every=2 || fail "both: the first six steps"
train both 3 --set checkpoint.every=3 || fail "both: the rest"
cmp one/run/adapter.safetensors both/run/adapter.safetensors || fail "both: another adapter"
# A rank that fails in the middle of a step: one caption has a token whose embedding is not finite, so one micro-batch
# has no loss. The others walk on to the agreement; all end, with one message.
mkdir letters
cp "$images/train"/*.png letters/
for picture in letters/*.png; do
    echo "a fox in sks style" >"${picture%.png}.txt"
done
echo "w in sks style" >letters/turtle.txt
cp -r "$tiny_sd1" poisoned
weights=poisoned/text_encoder/model.safetensors
header=$(od -An -t u8 -N 8 $weights)
table=$(grep -ao '"text_model.embeddings.token_embedding.weight":{[^}]*}' $weights | grep -o '\[[0-9,]*\]' | tr -d '[]' | tr '\n' ' ')
read -r shape offsets <<<"$table"
token=$(grep -ao '"w</w>": *[0-9]*' poisoned/tokenizer/vocab.json | grep -o '[0-9]*$')
printf '\x00\x00\xc0\x7f' | dd of=$weights bs=1 seek=$((8 + header + ${offsets%,*} + 4 * token * ${shape#*,})) conv=notrunc status=none
for layout in 2x2 4x4 4x2 3x3 mapped; do
    rc=0
    if [ $layout = mapped ]; then preload='' layout=2x2; fi
    sharded "fails$layout" "${layout%x*}" "${layout#*x}" --set model="$work/poisoned" --set data.path="$work/letters" \
        --set adapter.text_encoder=true --set train.global_batch=6 --set train.loss=dco --set data.caption_dropout=0 || rc=$?
    [ "$rc" -eq 1 ] || fail "fails$layout: exit code $rc"
    one_error "fails$layout" "turtle.png"
    rm -r "fails$layout"
done

# A collective that fails on one rank, among them those of a group's gathers: its message, and an end for all ranks. The
# calls are of the start, of the first step and of later ones.
preload=$apart:$(dirname "$soda")/tests/libsoda_test_collective.so
for call in Iallgather:1 Iallgather:300 Iallgather:2000 Ibarrier:1 Ibarrier:300 Scatter:8 Bcast:4; do
    name=${call/:/} rc=0
    sharded_until_end "$name" "MPI_${call%:*}" "${call#*:}" || rc=$?
    [ "$rc" -eq 1 ] || fail "$name: exit code $rc, expected 1"
    one_error "$name" "rank 1 of 2 on $(hostname): "
    grep -a "soda: error:" "$name/log" | grep -qE "MPI: (gather|barrier|scatter|broadcast) failed" || fail "$name: the collective is not named"
done
preload=$apart

# Pictures that one rank cannot draw are a warning, the first of three times, and the run is well.
rm -rf one
drawn=(--set model="$work/poisoned" --set adapter.text_encoder=true --set sample.every=5 --set sample.steps=3
    --set 'sample.prompts=["a fox", "w", "a key"]')
train one 1 "${drawn[@]}" || fail "one: with bad pictures"
sharded drawn 2 2 "${drawn[@]}" || fail "drawn: ended for its pictures"
same drawn
says drawn "training continues without these pictures"

# refused NAME TEXT RANKS SHARD [OPTION]...: exit code 1 and one error, which holds TEXT.
refused() {
    local name=$1 text=$2 rc=0
    shift 2
    sharded "$name" "$@" || rc=$?
    [ "$rc" -eq 1 ] || fail "$name: exit code $rc, expected 1"
    one_error "$name" "$text"
}
refused divisor "parallel.shard: expected a divisor of the number of ranks, 3, found 2" 3 2
refused alone "parallel.shard: expected at least 2" 2 1
refused batches "train.global_batch: expected a micro-batch of 1 for each of the 2 groups" 4 2 --set train.global_batch=1
refused small "parallel.ring: expected at least 0." 2 2 --set parallel.ring=0.001
preload=
refused mapped-small "parallel.ring: expected at least 0." 2 2 --set parallel.ring=0.001
refused policy "parallel.weights" 2 2 --set parallel.weights=some
echo "weights held in parts: the same bits in all layouts"
