# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# shard_rows.sh: two nodes that hold the weights between them (parallel.weights: shard), whole and with one of them cut off.

# A ring in which weights go round: the bundled model would fit into that of auto.
shard_options=(--set parallel.weights=shard --set parallel.shard=2 --set parallel.ring=8)

row_shard() {
    soda_options=("${shard_options[@]}")
    train shard
    finished shard 240
    grep -q '"gather": 0.*"wait": 0' "$run/metrics.jsonl" || fail "shard: no seconds of gathering"
}

row_shard_cable() {
    soda_options=("${shard_options[@]}")
    cut_cable shard_cable 2
}
