#!/usr/bin/env bash
# The house passes its own rules, and a seeded violation of each rule is found.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bash "$here/includes.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

seeded() { # file, line of C, what the message must contain
    rm -rf "$scratch/src" && mkdir -p "$scratch/$(dirname "$1")"
    printf '%s\n' "$2" >"$scratch/$1"
    if out=$(bash "$here/includes.sh" "$scratch" 2>&1); then echo "not found: $2" >&2; exit 1; fi
    case $out in *"$3"*) ;; *) echo "wrong message for $2: $out" >&2; exit 1 ;; esac
}
seeded src/core/a.c '#include "graph/graph.h"' 'core may not include graph/graph.h'
seeded src/model/a.c '#include "pipeline/text.h"' 'model may not include pipeline/text.h'
seeded src/graph/a.c '#include "backend/cpu/kernels.h"' 'graph may not include'
seeded src/train/a.c '#include <mpi.h>' 'MPI or CUDA'
seeded src/graph/a.c 'int x = dnnl_f32;' 'oneDNN'
seeded src/io/a.c 'void f(void) { exit(1); }' 'exit or printf'
seeded src/io/a.c "$(yes '//' | head -n 801)" 'at most 800'
