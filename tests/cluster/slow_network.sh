#!/usr/bin/env bash
# slow_network.sh [SODA]: trains the bundled model on two nodes (nodes.sh) that hold the weights between them, with the
# network between them slowed down to 1 Gbit/s and to 200 Mbit/s (tc tbf), and prints how long steps gather and wait,
# beside what `soda plan` says. A measurement, not a test: on an idle machine of two cores, as root, with Slurm and
# munge; about a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SODA=$(realpath "${1:-build/release/soda}")
if [ -z "${LAB:-}" ]; then exec bash tests/cluster/nodes.sh build/lab/slow 2 bash tests/cluster/slow_network.sh "$SODA"; fi

run=$LAB/run.yaml
sed "s|: model|: $PWD/configs/quickstart/model|; s|path: images|path: $PWD/configs/quickstart/images|
    /^validation/d; /^sample/d; s|^output.*|output: $LAB/run|" configs/quickstart/train.yaml >"$run"
# A ring in which weights go round: the bundled model would fit into that of auto.
shard=(--threads 1 --cache "$LAB/cache" --set parallel.weights=shard --set parallel.shard=2 --set parallel.ring=8)

# median KEY: of the steps but the first.
median() {
    sed -n "2,\$s/.*\"$1\": \([0-9.e-]*\).*/\1/p" "$LAB/run/metrics.jsonl" | sort -g |
        awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}

# measure STEPS RATE GB/S
measure() {
    local k
    for k in 1 2; do
        nsenter -t "$(cat "$LAB/$k.pid")" -n tc qdisc replace dev eth0 root tbf rate "$2" burst 128kb latency 100ms
    done
    rm -rf "$LAB/run"
    salloc -Q -N 2 --ntasks-per-node=1 mpirun --map-by node --bind-to none "$SODA" train "$run" "${shard[@]}" \
        --set train.steps="$1" >"$LAB/out" 2>&1 || { tail -n 20 "$LAB/out" >&2; exit 1; }
    echo "$2: measured: $(median gather) s gathering, $(median wait) s waiting, per step; planned:"
    "$SODA" plan "$run" --ranks 2 "${shard[@]}" --net-bandwidth "$3" |
        grep -E '^(policy|shard) '
}
measure 25 1gbit 0.125
measure 9 200mbit 0.025
