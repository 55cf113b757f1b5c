#!/usr/bin/env bash
# includes.sh [ROOT]: the rules of the house. Rooms of src/ include each other in one direction only:
#
#   app -> train -> model, adapter, diffusion, data, io -> graph -> backend/backend.h, comm -> core
#
# (backend/ may read the tables of graph/: tensor.h, attr.h, ops.def.) Libraries are called in their rooms.
set -u
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}" || exit 1
bad=0
complain() { echo "$1" >&2; bad=1; }

allowed() { # room -> rooms whose headers it may include
    case $1 in
        core) echo core ;;
        comm) echo core comm ;;
        backend) echo core backend ;;
        graph) echo core comm graph ;;
        io) echo core comm graph io ;;
        data) echo core comm graph io data ;;
        model) echo core comm graph io model ;;
        adapter) echo core comm graph adapter ;;
        diffusion) echo core comm graph diffusion ;;
        train) echo core comm graph io data model adapter diffusion train ;;
        app) echo core comm graph io data model adapter diffusion train app ;;
    esac
}

while IFS=: read -r file line text; do
    room=${file#src/} room=${room%%/*}
    target=$(sed -n 's/.*#include "\([^"]*\)".*/\1/p' <<<"$text")
    to=${target%%/*}
    case " $(allowed "$room") " in *" $to "*) continue ;; esac
    case $room:$target in
        *:backend/backend.h) [ "$room" != core ] && [ "$room" != comm ] && continue ;;
        app:comm_mpi.h) continue ;; # only the program knows what implements comm
        backend:core/tensor.h | backend:graph/attr.h | backend:graph/ops.def) continue ;;
    esac
    complain "$file:$line: $room may not include $target"
done < <(grep -rn '#include "' src --include='*.[ch]')

outside() { # pattern, files where it is at home, what it is
    local hits
    hits=$(grep -rnE "$1" src --include='*.[ch]' | grep -vE "$2")
    [ -z "$hits" ] || complain "$3 in the wrong room:
$hits"
}
outside '#include [<"](mpi|cuda|nccl|cublas|cusolver)' '^$' 'MPI or CUDA headers'
outside '\bMPI_[A-Z]' '^$' 'MPI calls'
outside '\bdnnl_' '^src/backend/cpu/' 'oneDNN calls'
outside '\bH5[A-Z]+[a-z_]+\(' '^src/io/' 'HDF5 calls'
outside '\byaml_[a-z]' '^src/train/' 'libyaml calls'
outside '\b(exit|abort|printf|puts)\(' '^src/app/' 'exit or printf'

while read -r lines file; do
    [ "$file" = total ] || [ "$lines" -le 800 ] || complain "$file: $lines lines, at most 800"
done < <(find src mpi cuda tests -name '*.[ch]' -exec wc -l {} + 2>/dev/null)
exit $bad
