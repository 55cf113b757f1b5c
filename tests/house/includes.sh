#!/usr/bin/env bash
# includes.sh [ROOT]: the rules of the house, checked on every header that a file of src/, mpi/ or cuda/ includes.
#
#   floors   a file includes headers of its own room and of rooms on lower floors; rooms on one floor do not know each other
#   circles  headers do not include each other in a circle
#   names    base names of headers are unique in src/, except inside the folders of backends
#   sizes    files have at most 400 lines (tests: 800)
#   homes    libraries are called in their rooms
#   pages    the files that docs/architecture.md names exist
set -u
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}" || exit 1
bad=0
complain() { echo "$1" >&2; bad=1; }

# The floors, lowest first.
floors='core
graph image optim tokenizer diffusion comm
io
adapter backend
config exec
model
interop
pipeline
train data
output
run plan verify
app'
declare -A floor
level=0
while read -r rooms; do
    for room in $rooms; do floor[$room]=$level; done
    level=$((level + 1))
done <<<"$floors"

for folder in src/*/; do
    room=$(basename "$folder")
    [ -n "${floor[$room]:-}" ] || [ "$room" = '*' ] || complain "src/$room: this room has no floor in tests/house/includes.sh"
done

while IFS=: read -r file line text; do
    room=${file#src/} room=${room%%/*}
    target=$(sed -n 's/.*#include "\([^"]*\)".*/\1/p' <<<"$text")
    to=${target%%/*}
    [ "$room" = "$to" ] && continue
    [ "$room:$target" = app:comm_mpi.h ] && continue # only the program knows what implements comm
    [ -n "${floor[$to]:-}" ] && [ -n "${floor[$room]:-}" ] && [ "${floor[$to]}" -lt "${floor[$room]}" ] && continue
    complain "$file:$line: $room may not include $target"
done < <(grep -rn '#include "' src --include='*.[ch]')

# tsort complains about circles; .def files are read in pieces and are left out.
circles=$(grep -rHo '#include "[^"]*\.h"' src --include='*.h' |
    sed 's/^src\///; s/:#include "/ /; s/"$//' | tsort 2>&1 >/dev/null)
[ -z "$circles" ] || complain "headers include each other in a circle:
$circles"

names=$(find src -name '*.h' ! -path 'src/backend/*/*' -printf '%f\n' | sort | uniq -d)
for name in $names; do
    complain "the name $name is taken twice: $(find src -name "$name" ! -path 'src/backend/*/*' | sort | tr '\n' ' ')"
done

outside() { # pattern, files where it is at home, what it is
    local hits
    hits=$(grep -rnE "$1" src --include='*.[ch]' | grep -vE "$2")
    [ -z "$hits" ] || complain "$3 in the wrong room:
$hits"
}
outside '#include [<"](mpi|cuda|nccl|cublas|cusolver)' '^$' 'MPI or CUDA headers'
outside '\bMPI_[A-Z]' '^$' 'MPI calls'
outside '\bH5[A-Z]+[a-z_]+\(' '^src/io/' 'HDF5 calls'
outside '\byaml_[a-z]' '^src/config/' 'libyaml calls'
outside '\bLAPACKE_|\bcblas_' '^src/adapter/' 'LAPACK calls'
outside '\b(exit|abort|printf|puts)\(' '^src/app/' 'exit or printf'

while read -r lines file; do
    case $file in total) continue ;; tests/*) most=800 ;; *) most=400 ;; esac
    [ "$lines" -le "$most" ] || complain "$file: $lines lines, at most $most"
done < <(find src mpi cuda tests -name '*.[ch]' -exec wc -l {} + 2>/dev/null)

# shellcheck disable=SC2016 # back quotes of Markdown
while read -r file; do
    [ -e "src/$file" ] || [ -e "$file" ] || complain "docs/architecture.md: there is no file $file"
done < <(grep -oE '`[a-z0-9_]+/[a-z0-9_/]+\.(c|h|def)`' docs/architecture.md 2>/dev/null | tr -d '`' | sort -u)
exit $bad
