#!/usr/bin/env bash
# The house passes its own rules, and a seeded violation of each rule is found.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bash "$here/includes.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

put() { # file, its text
    mkdir -p "$scratch/$(dirname "$1")"
    printf '%s\n' "$2" >"$scratch/$1"
}
found() { # what the message must contain
    if out=$(bash "$here/includes.sh" "$scratch" 2>&1); then echo "not found: $1" >&2; exit 1; fi
    case $out in *"$1"*) ;; *) echo "wrong message, expected $1: $out" >&2; exit 1 ;; esac
    rm -rf "$scratch/src" "$scratch/docs"
}
seeded() { put "$1" "$2"; found "$3"; } # file, its text, what the message must contain

seeded src/core/a.c '#include "graph/graph.h"' 'core may not include graph/graph.h'
seeded src/model/a.c '#include "train/step.h"' 'model may not include train/step.h'
seeded src/graph/a.c '#include "backend/cpu/kernels.h"' 'graph may not include'
seeded src/data/a.c '#include "train/step.h"' 'data may not include train/step.h' # the same floor
seeded src/train/a.c '#include "step.h"' 'train may not include step.h'
seeded src/attic/a.c 'int x;' 'src/attic: this room has no floor'
put src/graph/a.h '#include "graph/b.h"'
put src/graph/b.h '#include "graph/a.h"'
found 'circle'
put src/graph/same.h ''
put src/io/same.h ''
found 'the name same.h is taken twice'
seeded src/train/a.c '#include <mpi.h>' 'MPI or CUDA'
seeded src/train/a.c 'int x = MPI_INT;' 'MPI calls'
seeded src/output/a.c '#include "run/turns.h"' 'output may not include run/turns.h'
seeded src/run/a.c 'int x = H5Fclose(0);' 'HDF5'
seeded src/train/a.c 'yaml_node_t x;' 'libyaml'
seeded src/train/a.c 'int x = LAPACKE_dgesdd;' 'LAPACK'
seeded src/io/a.c 'void f(void) { exit(1); }' 'exit or printf'
seeded src/io/a.c "$(yes '//' | head -n 401)" 'at most 400'
put src/io/a.c ''
# shellcheck disable=SC2016 # back quotes of Markdown
put docs/architecture.md '| a question | `io/a.c`, `io/gone.c` |'
found 'there is no file io/gone.c'
