#!/bin/bash
# resources.sh NVCC [--update]: registers, shared memory and spills of every kernel in cuda/, as ptxas reports them
# for the GPUs that a build for users has code for, against tests/cuda/resources.txt. Fails if a number rose, if
# anything is spilled, or if a kernel is not in the table; --update writes the table.
set -euo pipefail
cd "$(dirname "$0")/../.."
nvcc=$1 table=tests/cuda/resources.txt
found=$(mktemp) log=$(mktemp)
trap 'rm -f "$found" "$log"' EXIT

for file in cuda/*.cu; do
    # One PTX for all: the front end takes most of the time. CMAKE_CUDA_COMPILER_LAUNCHER: ccache keeps what ptxas says.
    ${CMAKE_CUDA_COMPILER_LAUNCHER:-} "$nvcc" -std=c++17 -O3 -I. -Isrc -Xptxas -v -c "$file" -o "$log.o" \
        -gencode 'arch=compute_80,code=[sm_80,sm_90,sm_100]' 2>>"$log" || { cat "$log"; exit 1; }
done
rm -f "$log.o"

# GPU, registers, static shared memory and spills in bytes, kernel
awk '/Compiling entry function/ { gsub(/\047/, ""); kernel = $7; gpu = $9 }
    /bytes spill stores/ { spilled = $5 + $9 }
    /Used [0-9]+ registers/ {
        shared = 0
        for (i = 1; i + 2 <= NF; i++) if ($(i + 2) ~ /^smem/) shared = $i
        print gpu, $5, shared, spilled, kernel
    }' "$log" | c++filt -p | LC_ALL=C sort -k5 -k1,1 >"$found"
[ -s "$found" ] || { echo "resources: ptxas reported nothing"; exit 1; }

if [ "${2:-}" = --update ]; then
    { echo "# GPU registers shared-bytes spilled-bytes kernel: tests/cuda/resources.sh NVCC --update"; cat "$found"; } >"$table"
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
