#!/usr/bin/env bash
# tidy_test.sh BUILD: clang-tidy 14 (.clang-tidy) finds nothing in src/, mpi/ and, where BUILD has the CUDA backend, in cuda/
# and tests/cusim/, each file compiled as in BUILD/compile_commands.json; and it finds what is seeded. One process a file:
# of several files in one process it takes va_list for uninitialized in all but the first. Exits with 77 where there is
# no clang-tidy 14.
set -eu
command -v clang-tidy-14 >/dev/null || { echo "SKIPPED: clang-tidy-14 is not installed"; exit 77; }
build=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

cp .clang-tidy "$found" && mkdir "$found/src"
printf 'long long area(int w, int h);\nlong long area(int w, int h) { return (long long)(w * h); }\n' \
    >"$found/src/seeded.h"
printf '#include "seeded.h"\n' >"$found/src/seeded.c"
if clang-tidy-14 --quiet "$found/src/seeded.c" -- >"$found/log" 2>&1; then
    echo "not found: a product widened too late, in a header" >&2
    exit 1
fi
grep -q 'seeded.h:2:.*bugprone-misplaced-widening-cast' "$found/log" || {
    echo "wrong finding for a product widened too late:" >&2
    cat "$found/log" >&2
    exit 1
}

folders=(src mpi)
if grep -q '/cuda/device\.c"' "$build/compile_commands.json"; then
    folders+=(cuda tests/cusim)
else
    echo "cuda/ and tests/cusim/ are not checked: this build is without CUDA"
fi
# Once, of a file that is compiled for several programs.
awk '/^\{/ { entry = ""; next } /^\}/ { if (!seen[file]++) list = list (list ? ",\n" : "") "{\n" entry "}"; next }
     { entry = entry $0 "\n" } /^ *"file":/ { file = $2 } END { print "[\n" list "\n]" }' \
    "$build/compile_commands.json" >"$found/compile_commands.json"
find "${folders[@]}" -name '*.c' -print0 |
    xargs -0 -P "$(nproc)" -n 1 clang-tidy-14 --quiet -p "$found" 2>"$found/log" || {
    grep -vE '^[0-9]+ warnings? generated' "$found/log" >&2
    exit 1
}
