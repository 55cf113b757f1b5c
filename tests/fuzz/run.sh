#!/usr/bin/env bash
# run.sh HARNESS CORPUS: runs the seed corpus and 100,000 mutations of it, the same ones each time.
# What it finds lies in the current folder as crash-*, and reproduces with: HARNESS crash-...
set -euo pipefail
harness=$1 corpus=$2
tokens=$(dirname "$0")/$(basename "$corpus").dict
[ -e "$tokens" ] || tokens=$(dirname "$0")/json.dict

found=$(mktemp -d) # libFuzzer writes new inputs to the first folder: not to the seed corpus
trap 'rm -rf "$found"' EXIT
"$harness" -runs=100000 -seed=1 -timeout=20 -rss_limit_mb=2048 -dict="$tokens" \
    "$found" "$corpus" 2>&1 | tail -n 40
