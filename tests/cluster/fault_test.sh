#!/usr/bin/env bash
# Runs that lose a rank, a cable or a node: the job goes on by itself, and in the end its adapter is that of a run that
# nothing disturbed. Prints the seconds from each fault to the first new step. FAULTS chooses some of them.
STEPS=400
. "$SOURCE/tests/cluster/lib.sh"

made_step() { [ "$run/metrics.jsonl" -nt "$run/attempts" ] && tail -n 1 "$run/attempts" | awk '{ exit !($2 > 0) }'; }

# restarted NAME GOAL SINCE: the job makes a step again, within twice GOAL seconds: the machine may be busy.
restarted() {
    until_true $((2 * $2)) "$1: no new step, job $job is $(field "$job" JobState)" made_step
    say "$1: a new step $(($(date +%s) - $3)) s after the fault; attempts: $(field "$job" Restarts) more"
}

# node_back K NAME
node_back() { until_true 90 "$2: node n$1 does not come back" is_idle "n$1"; }

begin() {
    train "$1"
    until_true 90 "$1: no checkpoint" reached 10
    since=$(date +%s)
}

# killed: one rank.
fault_killed() {
    begin killed
    kill -9 "$(ranks_on "$(first_node 2)")"
    restarted killed 15 "$since"
    finished killed 180
}

# Stopped for ten seconds, or cut off for as long as twenty: no fault.
fault_pause() {
    local rank
    begin pause
    rank=$(ranks_on "$(first_node 2)")
    kill -STOP "$rank"
    sleep 10
    kill -CONT "$rank"
    finished pause 180
    is "$job" Restarts 0 || fail "pause: started again"
}

# stopped NAME K: the rank on the job's K-th node stands still for good: the watchdog ends the job within limit + 15 s.
stopped() {
    soda_options=(--set parallel.timeout=30)
    begin "$1"
    soda_options=()
    until_true 60 "$1: no second checkpoint" reached 20 # all ranks know of the first by then
    since=$(date +%s)
    kill -STOP "$(ranks_on "$(first_node "$2")")"
    restarted "$1" 45 "$since"
    grep -q "rank $(($2 - 1)) of 2 on n$(first_node "$2") has not been heard of" "$1.log" || fail "$1: the rank is not named"
    finished "$1" 180
}
fault_stopped() { stopped stopped 2; }
fault_stopped0() { stopped stopped0 1; }

# cut NAME K: the cable of the job's K-th node.
cut() {
    local node
    begin "$1"
    node=$(first_node "$2")
    ip link set "v$node" down
    restarted "$1" 60 "$since"
    ip link set "v$node" up
    node_back "$node" "$1"
    finished "$1" 180
}
fault_cable() { cut cable 2; }
fault_cable0() { cut cable0 1; }

# off NAME K: the job's K-th node has no power.
off() {
    local node
    begin "$1"
    node=$(first_node "$2")
    kill -9 "$(cat "$LAB/$node.pid")"
    restarted "$1" 30 "$since"
    finished "$1" 180
    STAGE=again bash "$NODES" "$node"
    node_back "$node" "$1"
}
fault_off() { off off 2; }
fault_off0() { off off0 1; }

for fault in ${FAULTS:-killed pause stopped stopped0 cable cable0 off off0}; do "fault_$fault"; done
