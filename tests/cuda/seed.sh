#!/bin/bash
# seed.sh FROM TO EXPRESSION: TO is FROM changed by sed EXPRESSION, which must change exactly one line.
set -euo pipefail
mkdir -p "$(dirname "$2")"
sed "$3" "$1" >"$2"
changed=$(diff "$1" "$2" | grep -c '^<' || true)
[ "$changed" -eq 1 ] || { echo "seed: $3 changes $changed lines of $1, expected 1" >&2; rm -f "$2"; exit 1; }
