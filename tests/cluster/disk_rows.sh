# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# disk_rows.sh: a full disk never ends a run that is well. $LAB/small is a file system of a few MiB that all nodes see.

# Takes all room there is, as fast as it comes back, until the file `filling` is gone.
fill() {
    while [ -e filling ]; do
        cat /dev/zero >>"$LAB/small/fill" 2>/dev/null || true
        sleep 0.05
    done
    rm -f "$LAB/small/fill"
}
start_filling() {
    touch filling
    fill &
    filler=$!
}
stop_filling() {
    rm filling
    wait "$filler"
}

# begin_small NAME [OPTION of soda]...: a run on the small file system, until its first checkpoint.
begin_small() {
    local name=$1
    soda_options=(--set "output=$LAB/small/$name" "${@:2}")
    train "$name"
    run=$LAB/small/$name
    until_true 90 "$name: no checkpoint" reached 10
}
says() { grep -q "$2" "$1.log"; }

# For a while, in the middle: checkpoints are skipped, lines of metrics.jsonl wait in memory.
row_full() {
    begin_small full
    start_filling
    until_true 60 "full: no word of the checkpoint" says full 'training continues without this checkpoint'
    until_true 60 "full: no word of metrics.jsonl" says full 'keeps its lines in memory until there is room'
    stop_filling
    finished full 180
    is "$job" Restarts 0 || fail "full: was started again"
}

# At the end: the last checkpoint and the adapter wait for room.
row_full_end() {
    begin_small full_end
    start_filling
    until_true 180 "full_end: does not try again" says full_end 'retrying: '
    sleep 3
    [ ! -e "$run/adapter.safetensors" ] || fail "full_end: the disk was not full"
    stop_filling
    finished full_end 60
    is "$job" Restarts 0 || fail "full_end: was started again"
}
