#!/usr/bin/env bash
# A run has the same bits on 1, 2, 3 and 4 ranks, in one go or in pieces, and on other numbers of ranks in each.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

train one 1 || fail "one rank"
for ranks in 2 3 4; do
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

# The fast reduction is another sum, but nearly the same one.
train fast 2 --set parallel.reduction=fast || fail "fast reduction"
cmp -s one/run/adapter.safetensors fast/run/adapter.safetensors && fail "fast: exactly the exact sum?"

# Recomputing activations changes time and memory, and no bit; nothing but the configuration does.
train recomputed 2 --set train.recompute=full || fail "recomputation"
cmp one/run/adapter.safetensors recomputed/run/adapter.safetensors || fail "recomputed: another adapter"
echo "the same bits on 1, 2, 3 and 4 ranks, in one piece and in two"
