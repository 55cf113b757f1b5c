#!/bin/bash
# predictions.sh PROGRAM [--update]: docs/gpu_predictions.md, made of what tests/cuda/predictions.c prints and of
# tests/cuda/resources.txt. Fails if the page is not what they say; --update writes it.
set -euo pipefail
cd "$(dirname "$0")"
page=../../docs/gpu_predictions.md
found=$(mktemp) printed=$(mktemp)
trap 'rm -f "$found" "$printed"' EXIT
CUSIM_CHECK=0 "$1" | c++filt -p >"$printed"

# Blocks that a multiprocessor holds, by warps, blocks, registers (given to warps in units of 256, to a block for four warps at a
# time) and shared memory (1 KiB of it per block is the system's, units of 128 bytes): limits of CUDA C++ Programming
# Guide, "Technical Specifications per Compute Capability"; units of NVIDIA's occupancy calculator.
kernels() {
    awk 'function least(a, b) { return a < b ? a : b }
        function units(x, unit) { return int((x + unit - 1) / unit) * unit }
        function cells(registers, threads, shared, room,    warps, blocks) {
            if (registers == "") { print "predictions: " name ": not in resources.txt" >"/dev/stderr"; exit 1 }
            warps = units(threads, 32) / 32
            blocks = least(32, int(64 / warps))
            blocks = least(blocks, int(65536 / (units(registers * 32, 256) * units(warps, 4))))
            blocks = least(blocks, int(room / units(shared + 1024, 128)))
            return sprintf("%d | %d | %.0f %%", registers, blocks, blocks * warps * 100 / 64)
        }
        FNR == NR { name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", name); registers[$1, name] = $2; next }
        $1 == "kernel" {
            name = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", name)
            printf "| `%s` | %d%s | %d | %s | %s |\n", name, $2, $4 ? "" : " *", $3,
                cells(registers["sm_80", name], $2, $3, 164 * 1024), cells(registers["sm_90", name], $2, $3, 228 * 1024)
        }' resources.txt "$printed" | LC_ALL=C sort
}

{
    cat <<'TEXT'
# Predictions: what training steps should take on GPUs

**These are predictions: simulated, not yet run on hardware.** `tests/cuda/predictions.sh` makes this page, and a test fails if it
is out of date. Flops and bytes are counted on the graphs as the CUDA backend runs them, without recomputation. A node is charged
the longest of flops / rate, bytes / bandwidth, and the least that any node takes: `soda plan --device` does the same,
with the same rates, which it prints (`src/plan/gpus.def`). The update and the reduction over ranks are not in it.

## Steps

TEXT
    grep -v '^kernel ' "$printed" | sed '/^###/,$d' | sed '/^$/d'
    cat <<'TEXT'

## By kernel

Each row is all nodes of a micro-batch that launch the same kernels, whose time is predicted together; rows add up to the step.
`cublasLtMatmul` is a product of NVIDIA's library.

TEXT
    sed -n '/^###/,$p' "$printed" | sed '/^kernel /d'
    cat <<'TEXT'

## Occupancy

Registers by ptxas for compute capability 8.0 (A100) and 9.0 (H100, H200); threads and shared memory, in bytes, of the largest block in
the steps above (*: not launched there; the largest block it is compiled for, with its static shared memory); how many
blocks a multiprocessor holds, and the part of its warps that are then in use.

| kernel | threads | shared | registers 8.0 | blocks | warps | registers 9.0 | blocks | warps |
|---|---|---|---|---|---|---|---|---|
TEXT
    kernels
} >"$found"
if [ "${2:-}" = --update ]; then
    cat "$found" >"$page"
    exit
fi
diff "$page" "$found" || { echo "docs/gpu_predictions.md is out of date: tests/cuda/predictions.sh PROGRAM --update"; exit 1; }
