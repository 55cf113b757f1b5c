#!/usr/bin/env bash
# install_test.sh BUILD: what cmake --install makes runs from where it lies: the program finds LAPACK's module and the
# quickstart's files after the prefix was moved, and not in the build folder. The manual page knows every verb.
set -euo pipefail
build=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache OMP_WAIT_POLICY=passive

cmake --install "$build" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/prefix"
cd "$work"
soda=$work/prefix/bin/soda
quickstart=$work/prefix/share/soda/quickstart

# train OUTPUT: one step of a small model on the installed pictures.
train() {
    "$soda" train "$quickstart/train.yaml" --threads 1 --set model="$here/tests/golden/tiny-sd1" --set output="$1" \
        --set train.steps=1 --set train.global_batch=2 --set validation.pictures=1
}

"$soda" selftest --threads 1
train "$work/run"
"$soda" sample --model "$quickstart/model" --prompt fox --steps 1 --threads 1 --out "$work/pictures"
test -s "$work/pictures/0000.png"

# The CUDA backend, in builds that have it: found, and NVIDIA's libraries with it.
if [ -e "$build/libsoda_cuda.so" ] && [ ! -e /proc/driver/nvidia/version ]; then
    if "$soda" selftest --backend cuda 2>"$work/log" || ! grep -q 'no NVIDIA driver' "$work/log"; then
        cat "$work/log" >&2
        exit 1
    fi
fi

rm -r "$work/prefix/lib/soda" "$XDG_CACHE_HOME"
if train "$work/again" 2>"$work/log"; then
    echo "LAPACK's module was found outside the prefix" >&2
    exit 1
fi
grep -q 'libsoda_lapack.so' "$work/log" || { cat "$work/log" >&2; exit 1; }

sed -n 's/^VERB(\([a-z]*\),.*/\1/p' "$here/src/app/verbs.def" >"$work/verbs"
test -s "$work/verbs"
while read -r verb; do
    grep -qE "^\.B $verb\>" "$work/prefix/share/man/man1/soda.1" || {
        echo "docs/soda.1 lacks the verb $verb" >&2
        exit 1
    }
done <"$work/verbs"
