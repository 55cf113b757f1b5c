#!/usr/bin/env bash
# quickstart.sh [--no-install]: from a bare Debian 12 or 13 to a trained adapter: installs what is missing, builds soda,
# teaches the bundled model a drawing style from six pictures on two MPI ranks, and draws with it. About three minutes
# the first time, one after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

case "${1:-}" in
    "") soda_install_build ;;
    --no-install) ;;
    *) echo "usage: jobs/quickstart.sh [--no-install]" >&2; exit 2 ;;
esac
soda_build user

soda=build/user/soda
run=build/quickstart
rm -rf "$run"
# Open MPI asks root to say twice that it means it; ranks that wait give their core away.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
echo "== training on two ranks"
mpirun --oversubscribe --bind-to none -n 2 "$soda" train configs/quickstart/train.yaml --set output="$run"

echo "== the adapter on its own: six prompts that it has not seen"
"$soda" sample --model configs/quickstart/model --adapter "$run/adapter.safetensors" --guidance 4 --seed 1 \
    --out "$run/pictures" --prompt "rabbit in sks style" --prompt "tree in sks style" --prompt "rose in sks style" \
    --prompt "hammer in sks style" --prompt "butterfly in sks style" --prompt "train in sks style"
"$soda" inspect "$run/adapter.safetensors"

echo "== before, after, and the real held-back drawings: $PWD/$run/samples/validation.png"
echo "== spectra: $PWD/$run/spectra.h5   pictures: $PWD/$run/pictures"
