#!/usr/bin/env bash
# run.sh HARNESS CORPUS: runs the seed corpus and 20,000 mutations of it. libFuzzer learns from what the
# program compares, addresses among it: with none of the environment and no random addresses (where
# the system lets us) it tries the same inputs each time, so that a change fails for what is in it.
# What it finds lies in the current folder as crash-* (or oom-*, ...): HARNESS crash-... reproduces it.
set -euo pipefail
harness=$(realpath "$1") corpus=$(realpath "$2")
tokens=$(dirname "$corpus")/../$(basename "$corpus").dict
[ -e "$tokens" ] || tokens=$(dirname "$corpus")/../json.dict

found=$(mktemp -d) # libFuzzer writes new inputs to the first folder: not to the seed corpus
trap 'rm -rf "$found"' EXIT
mkdir "$found/new"
ln -s "$harness" "$found/harness"
ln -s "$corpus" "$found/seeds"
cp "$tokens" "$found/tokens"
same=(env -i)
setarch -R true 2>/dev/null && same+=(setarch -R)

rc=0
(cd "$found" && "${same[@]}" ./harness -runs=20000 -seed=1 -reload=0 -timeout=60 -rss_limit_mb=4096 \
    -dict=tokens new seeds) >"$found/log" 2>&1 || rc=$?
[ "$rc" -eq 0 ] || find "$found" -maxdepth 1 -name '*-*' -exec cp {} . \;
tail -n 60 "$found/log"
exit "$rc"
