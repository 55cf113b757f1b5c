#!/usr/bin/env bash
# A run has the same bits on 1 to 6 ranks, in one go or in pieces, and on other numbers of ranks in each.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

train one 1 || fail "one rank"
for ranks in 2 3 4 5 6; do
    train "ranks$ranks" "$ranks" || fail "$ranks ranks"
    same "ranks$ranks"
done

train pieces 1 --set train.steps=4 || fail "the first four steps"
train pieces 1 || fail "the other six"
same pieces
train moved 3 --set train.steps=4 || fail "four steps on three ranks"
train moved 2 || fail "six on two"
same moved
[ "$(wc -l <moved/run/metrics.jsonl)" -eq 10 ] || fail "moved: metrics.jsonl does not have ten lines"

# Checkpoints by the clock: no step is as short as this many minutes, so there is one after the first, and no bit changes.
train clock 2 --set checkpoint.every=1000 --set checkpoint.every_minutes=1e-6 --set checkpoint.keep=20 || fail "checkpoints by the clock"
cmp one/run/adapter.safetensors clock/run/adapter.safetensors || fail "clock: another adapter"
[ -e clock/run/checkpoints/step-00000001.h5 ] || fail "clock: expected a checkpoint of the first step"

# Steps that wait for their checkpoints write the same ones.
train waits 2 --set checkpoint.async=false || fail "steps that wait"
same waits

# Sums do not depend on the number of threads.
for count in 2 5; do
    (threads=$count; train "threads$count" 2) || fail "$count threads a rank"
    same "threads$count"
done

# As a user starts it, with no option: threads are shared out among the ranks.
for ranks in 1 2 3; do
    (threads=none; train "plain$ranks" "$ranks") || fail "$ranks ranks without options"
    same "plain$ranks"
done

# Nothing that earlier runs left in the cache is part of the result.
(export SODA_CACHE=$work/cold; train cold 2) || fail "a cold cache on two ranks"
same cold

# Ranks with a cache each, as on nodes that keep it on their own disks: both are whole after the first start, so that the
# second one makes and stores nothing; the run is that of one cache, of which nothing is sent.
apart() {
    mkdir -p "$1"
    ln -sfn "$1" current
    unlike "export SODA_CACHE='$work/own'" "export SODA_CACHE='$work/other'" "$soda" train run.yaml --threads 1 \
        --set output=current/run >>"$1/log" 2>&1 || fail "$1: caches that are not shared"
    same "$1"
}
apart first
says first "the ranks do not share one cache"
for cache in own other; do
    diff -r -x lock -x log -x run cold "$cache" >&2 || fail "first: the cache of $cache is not that of a run with one"
done
find own other -printf '%i %p\n' | sort >stored
apart second
find own other -printf '%i %p\n' | sort | cmp - stored || fail "second: something was stored again"
if grep -aqE 'encode pictures|encoding .* captions|factorise|share one cache' second/log; then fail "second: something was made"; fi
if grep -aq 'share one cache' cold/log; then fail "cold: one cache is taken for two"; fi

# The fast reduction is another sum, but nearly the same one.
train fast 2 --set parallel.reduction=fast || fail "fast reduction"
cmp -s one/run/adapter.safetensors fast/run/adapter.safetensors && fail "fast: exactly the exact sum?"

# Recomputing activations changes time and memory, and no bit; nothing but the configuration does.
train recomputed 2 --set train.recompute=full || fail "recomputation"
cmp one/run/adapter.safetensors recomputed/run/adapter.safetensors || fail "recomputed: another adapter"
echo "the same bits on 1 to 6 ranks, in one piece and in two"
