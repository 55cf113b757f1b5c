#!/usr/bin/env bash
# A run of 200 steps needs the memory of one of 20: nothing grows with steps or pictures.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# peak NAME STEPS [OPTION]...: peak MiB, as the run's last line says. Two checkpoints in every run: spectra.h5 has a
# record of each, and HDF5 works on the whole file in memory.
peak() {
    local name=$1 steps=$2
    shift 2
    train "$name" 1 --set train.steps="$steps" --set train.global_batch=1 --set data.resolution=32 \
        --set checkpoint.every=$(((steps + 1) / 2)) --set sample.every=10 --set sample.steps=1 \
        --set 'sample.prompts=["a fox"]' "$@" || fail "$name"
    sed -n 's|.*done: .* s, \([0-9]*\) MiB at most.*|\1|p' "$name/log"
}

# The first run fills the cache; factorising and encoding take memory of their own.
for text in false true; do
    peak "cold-$text" 1 --set adapter.text_encoder=$text --set train.schedule.warmup=0 >/dev/null
    short=$(peak "short-$text" 20 --set adapter.text_encoder=$text)
    long=$(peak "long-$text" 200 --set adapter.text_encoder=$text)
    echo "text_encoder $text: $short MiB for 20 steps, $long MiB for 200"
    [ "$short" -gt 10 ] || fail "text_encoder $text: no run needs $short MiB"
    [ "$long" -le $((short + 2)) ] || fail "text_encoder $text: $long MiB"
done
