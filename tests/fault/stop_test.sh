#!/usr/bin/env bash
# Whatever interrupts a run, submitting it again ends with the bits of a run that was left alone.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

train one 2 || fail "the run that is left alone"

# wait_for NAME LINES: until metrics.jsonl has that many lines.
wait_for() {
    for _ in $(seq 600); do
        [ -f "$1/run/metrics.jsonl" ] && [ "$(wc -l <"$1/run/metrics.jsonl")" -ge "$2" ] && return 0
        sleep 0.05
    done
    fail "$1: no step for 30 s"
}

# SIGUSR1 to the launcher reaches all ranks; they stop on the same step, with exit code 75.
train asked 2 & pid=$!
wait_for asked 1
pkill -USR1 -P "$pid" -f mpi || fail "asked: no launcher"
rc=0; wait "$pid" || rc=$?
[ "$rc" -eq 75 ] || fail "asked: exit code $rc, expected 75"
says asked "rerun the command to resume"
train asked 3 || fail "asked: going on"
same asked

# The end of the allocation is as good as a signal.
rc=0; train late 2 --set checkpoint.time_limit=0.1 || rc=$?
[ "$rc" -eq 75 ] || fail "late: exit code $rc, expected 75"
says late "near the time limit"
train late 1 || fail "late: going on"
same late

# kill -9 of one rank, at moments that differ from run to run.
for round in 1 2 3; do
    name=killed$round
    train "$name" 2 & pid=$!
    sleep "0.$((RANDOM % 9 + 1))"
    [ "$round" -eq 1 ] || wait_for "$name" $((2 * round))
    victim=$(pgrep -P "$(pgrep -P "$pid" | head -n 1)" -f "$soda" -n || true)
    [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null || true
    wait "$pid" || true
    train "$name" 2 || fail "$name: going on"
    same "$name"
done
echo "interrupted runs end with the same bits"
