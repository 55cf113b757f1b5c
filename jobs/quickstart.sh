#!/usr/bin/env bash
# quickstart.sh [--no-install]: from a fresh Debian 12 to pictures: installs what is missing, builds
# soda, and draws six pictures with the bundled model. About two minutes the first time, seconds after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

case "${1:-}" in
    "") soda_install_build ;;
    --no-install) ;;
    *) echo "usage: jobs/quickstart.sh [--no-install]" >&2; exit 2 ;;
esac
soda_build release

out=build/quickstart
rm -rf "$out"
echo "== drawing (25 steps, guidance 4, fp32)"
build/release/soda sample --model configs/quickstart/model --guidance 4 --seed 1 --out "$out" \
    --prompt "woman firefighter dark skin tone, noto emoji" \
    --prompt "man with red hair, noto emoji" \
    --prompt "smiling face, noto emoji" \
    --prompt "blue heart, noto emoji" \
    --prompt "man farmer medium skin tone, noto emoji" \
    --prompt "red apple, noto emoji"
echo "== pictures: $PWD/$out/0000.png to 0005.png"
