#!/usr/bin/env bash
# One run that loses a rank, cables and nodes in turn: each time the same job goes on by itself, and in the end its adapter
# is that of a run that nothing disturbed. Prints the seconds from each fault to the first new step.
STEPS=400
. "$SOURCE/tests/cluster/lib.sh"

restarts=0
# restarted WHAT SECONDS SINCE: the job is running again, and has made a step since.
restarted() {
    local what=$1 limit=$2 since=$3
    restarts=$((restarts + 1))
    until_true "$limit" "$what: not started again, job $job is $(field "$job" JobState)" is "$job" Restarts "$restarts"
    until_true "$limit" "$what: no new step" made_step
    say "$what: a new step $(($(date +%s) - since)) s after the fault"
    until_true 60 "$what: no progress" reached $(($(step) + 10))
}
undisturbed() { is "$job" Restarts "$restarts" || fail "expected $restarts restarts, found $(field "$job" Restarts)"; }
made_step() { [ "$run/metrics.jsonl" -nt "$run/attempts" ] && [ "$(wc -l <"$run/attempts")" = $((restarts + 1)) ]; }

# The run waits until node K is back, so that it does not end before the next fault.
wait_for_node() { # K WHAT
    pkill -STOP -x soda
    until_true 60 "$2: node n$1 does not come back" is_idle "n$1"
    pkill -CONT -x soda
}

cut_cable() { # K WHAT
    local since
    undisturbed
    since=$(date +%s)
    ip link set "v$1" down
    restarted "$2" 120 "$since"
    ip link set "v$1" up
    wait_for_node "$1" "$2"
}
power_off() { # K WHAT
    local since
    undisturbed
    since=$(date +%s)
    kill -9 "$(cat "$LAB/$1.pid")"
    restarted "$2" 120 "$since"
    STAGE=again bash "$NODES" "$1"
    wait_for_node "$1" "$2"
}

train faults
until_true 60 "no checkpoint" reached 10

since=$(date +%s)
kill -9 "$(ranks_on "$(first_node 2)")"
restarted "rank killed" 60 "$since"

# Stopped for ten seconds: no fault.
rank=$(ranks_on "$(first_node 2)")
kill -STOP "$rank"
sleep 10
kill -CONT "$rank"
until_true 60 "stopped for 10 s: no progress" reached $(($(step) + 10))
undisturbed
say "stopped for 10 s: goes on"

cut_cable "$(first_node 2)" "cable cut"
cut_cable "$(first_node 1)" "cable of rank 0's node cut"
power_off "$(first_node 2)" "node off"
power_off "$(first_node 1)" "rank 0's node off"
finished faults 180
undisturbed
