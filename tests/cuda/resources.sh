#!/bin/bash
# resources.sh [--update] NVCC PTX OBJECT...: registers, shared memory and spills of every kernel in these objects of cuda/,
# as ptxas reports them for the GPUs that a build for users has code for, against tests/cuda/resources.txt. Fails if a
# number rose, if anything is spilled, or if a kernel is not in the table; --update writes the table. PTX is the program
# made of tests/cuda/ptx.c: the PTX that the objects hold is what ptxas is given.
set -euo pipefail
update=
if [ "$1" = --update ]; then
    update=yes
    shift
fi
nvcc=$1 ptx=$2 table=$(dirname "$0")/resources.txt
shift 2
found=$(mktemp) log=$(mktemp) folder=$(mktemp -d)
trap 'rm -rf "$found" "$log" "$folder"' EXIT

"$ptx" 80 "$folder" "$@"
for file in "$folder"/*.ptx; do
    for gpu in 80 90 100; do
        "$nvcc" -cubin -arch=sm_$gpu -Xptxas -v -o "$folder/cubin" "$file" 2>>"$log" || { cat "$log"; exit 1; }
    done
done

# GPU, registers, static shared memory and spills in bytes, kernel
awk '/Compiling entry function/ { gsub(/\047/, ""); kernel = $7; gpu = $9 }
    /bytes spill stores/ { spilled = $5 + $9 }
    /Used [0-9]+ registers/ {
        shared = 0
        for (i = 1; i + 2 <= NF; i++) if ($(i + 2) ~ /^smem/) shared = $i
        print gpu, $5, shared, spilled, kernel
    }' "$log" | c++filt -p | LC_ALL=C sort -k5 -k1,1 >"$found"
[ -s "$found" ] || { echo "resources: ptxas reported nothing"; exit 1; }

if [ "$update" ]; then
    { echo "# GPU registers shared-bytes spilled-bytes kernel: tests/cuda/resources.sh --update"; cat "$found"; } >"$table"
    exit
fi
awk '{ key = $1; for (i = 5; i <= NF; i++) key = key " " $i }
    function complain(text) { print key ": " text; bad = 1 }
    NR == FNR { registers[key] = $2; shared[key] = $3; next }
    !(key in registers) { complain("not in the table: add it with --update"); next }
    $2 > registers[key] { complain("registers rose from " registers[key] " to " $2) }
    $3 > shared[key] { complain("shared memory rose from " shared[key] " to " $3 " bytes") }
    $4 > 0 { complain($4 " bytes are spilled") }
    END { exit bad }' "$table" "$found"
echo "resources: $(wc -l <"$found") kernels are within the table"
