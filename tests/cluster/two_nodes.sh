#!/usr/bin/env bash
# two_nodes.sh [METHOD [LATENT [ROUNDS]]]: training steps of SD1.5's size on two nodes (nodes.sh), one rank of one thread on
# each, with a copy of the weights each and with one copy between them that goes over TCP, in turn; then with latents of
# 8x8, where there is little to compute, so that gathering is measured almost alone. A measurement, not a test: on an idle
# machine of two cores with 12 GiB, as root, with Slurm and munge; about 4 minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
method=${1:-soda_svd} latent=${2:-64} rounds=${3:-3}
if [ -z "${LAB:-}" ]; then
    exec bash tests/cluster/nodes.sh build/lab/two 2 bash tests/cluster/two_nodes.sh "$method" "$latent" "$rounds"
fi

# bench WEIGHTS LATENT
bench() {
    echo "== $1, $2x$2 latents"
    salloc -Q -N 2 --ntasks-per-node=1 mpirun --map-by node --bind-to none "${SODA:-build/release/soda}" bench \
        --arch sd15 --method "$method" --latent "$2" --threads 1 --repeat 3 --weights "$1" >"$LAB/out" 2>&1 ||
        { tail -n 20 "$LAB/out" >&2; exit 1; }
    grep -E '^(step|weights gathered)' "$LAB/out"
}
for ((round = 1; round <= rounds; round++)); do
    bench replicate "$latent"
    bench shard "$latent"
done
bench shard 8
