#!/bin/bash
# traffic.sh PROGRAM [--update]: what tests/cuda/traffic.c prints against tests/cuda/traffic.txt: sectors moved to needed
# and bank conflicts of kernels at the sizes of SD 1.5 and SDXL, their VAE, texts and update. Fails if a number rose, if a
# kernel is not in the table, or if it is above 1.25 or 2-way; --update writes the table.
set -euo pipefail
cd "$(dirname "$0")"
table=traffic.txt
found=$(mktemp)
trap 'rm -f "$found"' EXIT
CUSIM_CHECK=0 CUSIM_STAT=quiet CUSIM_SAMPLE=2 "$1" | c++filt -p | LC_ALL=C sort -k5 >"$found"
[ -s "$found" ] || { echo "traffic: no kernel ran"; exit 1; }

if [ "${2:-}" = --update ]; then
    {
        echo "# sectors conflicts threads shared-bytes kernel | where sectors are worst | where conflicts are:" \
            "tests/cuda/traffic.sh PROGRAM --update"
        cat "$found"
    } >"$table"
fi
awk 'function name(line) { sub(/ \|.*/, "", line); sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", line); return line }
    function complain(text) { print key ": " text; bad = 1 }
    { key = name($0) }
    FILENAME == ARGV[1] { sectors[key] = $1; ways[key] = $2; next }
    !(key in sectors) { complain("not in the table: add it with --update"); next }
    $1 > sectors[key] + 0.005 { complain("sectors rose from " sectors[key] " to " $1 ", at " $0) }
    $2 > ways[key] + 0.005 { complain("bank conflicts rose from " ways[key] " to " $2 ", at " $0) }
    $1 > 1.25 || $2 > 2 { complain("above 1.25 sectors or 2 ways: " $0) }
    END { exit bad }' "$table" "$found"
echo "traffic: $(wc -l <"$found") kernels are within the table"
