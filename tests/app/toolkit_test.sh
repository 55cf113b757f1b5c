#!/usr/bin/env bash
# toolkit_test.sh CMAKE CC: a CUDA toolkit that is found but does not work is named when the build is configured: which then goes
# on without CUDA, unless SODA_CUDA=ON asked for it.
set -euo pipefail
cmake=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CC=$2 CUDACXX=$work/nvcc
unset CUDAToolkit_ROOT CMAKE_CUDA_COMPILER_LAUNCHER

fail() {
    echo "FAILED: $*" >&2
    cat "$work/log" >&2
    exit 1
}

# configure NAME [OPTION]...
configure() {
    local folder=$work/$1
    shift
    "$cmake" -S "$here" -B "$folder" "$@" >"$work/log" 2>&1
}

# says TEXT: in what CMake printed, whose lines may break anywhere.
says() { tr -s ' \n' '  ' <"$work/log" | grep -qF "$1" || fail "expected: $1"; }

printf '#!/bin/sh\necho "nvcc: a part is missing" >&2\nexit 1\n' >"$work/nvcc"
chmod +x "$work/nvcc"
configure tests -DSODA_TESTS=ON || fail "the build without CUDA was not configured"
says "CUDA: $work/nvcc was found, but it lacks a compiler that works: building without the CUDA backend"
grep -q '^SODA_CUDA:BOOL=OFF$' "$work/tests/CMakeCache.txt" || fail "SODA_CUDA is not off"

if configure wanted -DSODA_CUDA=ON; then fail "SODA_CUDA=ON with a toolkit that does not work"; fi
says "SODA_CUDA=ON: expected CUDA 12.0 or newer in PATH or by CUDACXX, found $work/nvcc, which lacks a compiler that works"

configure program || fail "the program alone was not configured"
if grep -q nvcc "$work/log"; then fail "the program alone looked for CUDA"; fi
