#!/usr/bin/env bash
# Whatever interrupts a run, submitting it again ends with the bits of a run that was left alone.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

train one 2 || fail "the run that is left alone"

# SIGUSR1 to the launcher reaches all ranks; they stop on the same step, with exit code 75.
train asked 2 & pid=$!
wait_for asked 1 || fail "asked: ended before the signal"
pkill -USR1 -P "$pid" || fail "asked: no launcher"
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

# wait_for_file FILE: until it is there; false if shell $pid ended before.
wait_for_file() { until [ -s "$1" ]; do kill -0 "$pid" 2>/dev/null || return 1; done; }

# Pictures that take long do not hold up a stop, between steps or after the last one, when the adapter is there already.
drawn=(--set sample.every=4 --set sample.steps=300 --set 'sample.prompts=["a fox"]'
    --set validation.path="$images/test" --set validation.pictures=2)
train drawn 2 "${drawn[@]}" || fail "drawn: the run that is left alone"
train shown 2 "${drawn[@]}" & pid=$!
wait_for shown 5 || fail "shown: ended before the first signal" # four steps and the held-out loss before them
pkill -USR1 -P "$pid" || fail "shown: no launcher"
rc=0; wait "$pid" || rc=$?
[ "$rc" -eq 75 ] || fail "shown: exit code $rc after the first signal, expected 75"
says shown "stopped after step 4 of 10 (received a signal)"
[ ! -e shown/run/samples/step-00000004-0.png ] || fail "shown: a picture was drawn to its end"
train shown 2 "${drawn[@]}" & pid=$!
wait_for_file shown/run/adapter.safetensors || fail "shown: ended before the second signal"
pkill -USR1 -P "$pid" || fail "shown: no launcher"
rc=0; wait "$pid" || rc=$?
[ "$rc" -eq 75 ] || fail "shown: exit code $rc, expected 75"
says shown "stopped after the last step (received a signal), with the adapter in"
cmp drawn/run/adapter.safetensors shown/run/adapter.safetensors || fail "shown: another adapter"
[ ! -e shown/run/samples/validation.png ] || fail "shown: the last pictures were drawn to their end"
train shown 1 "${drawn[@]}" || fail "shown: going on"
diff -r drawn/run/samples shown/run/samples || fail "shown: other pictures"

# kill_a_rank: kills one rank of run $pid as soon as there is one; false if the run ended before. By its name: the
# launcher's child has soda's path in its command line before it is soda, and dies then with another message.
kill_a_rank() {
    local launcher rank=
    while [ -z "$rank" ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        launcher=$(pgrep -P "$pid" | head -n 1 || true)
        [ -z "$launcher" ] || rank=$(pgrep -P "$launcher" -x "$(basename "$soda")" -n || true)
    done
    kill -KILL "$rank" 2>/dev/null
}

# Until no process of a run is left, and none that dies has its lock: the launcher may end before those that it kills.
wait_until_gone() {
    local process left=yes
    for ((SECONDS = 0; SECONDS < 60; )); do
        left=
        for process in $(pgrep -x "$(basename "$soda")" || true); do
            [ "$(readlink "/proc/$process/cwd" || true)" != "$work" ] || left=yes
        done
        [ ! -e "$1/run/.lock" ] || flock --nonblock "$1/run/.lock" true || left=yes
        [ "$left" ] || return 0
        sleep 0.1
    done
    fail "$1: a process is left"
}

# wait_for_run: its exit code becomes rc. Open MPI 4.1 was seen to miss the end of a rank that died as it started, and to
# wait for it for ever: after a minute the launcher is killed, too.
wait_for_run() {
    for ((SECONDS = 0; SECONDS < 60; )); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    pkill -KILL -P "$pid" || true
    rc=0
    wait "$pid" || rc=$?
}

# kill -9 of one rank: when it has just started, somewhat later, after 2 steps, and once there is a checkpoint. A run
# that ended before it could be killed proves nothing, nor does one whose launcher missed it, and is made again; how long
# a run takes depends on the machine, so "somewhat later" is half as late each time.
seed=${SODA_TEST_SEED:-$$} RANDOM=$seed
echo "seed of the moments: $seed"
for moment in start random steps checkpoint; do
    name=killed-$moment killed=
    for attempt in {0..9}; do
        rm -rf "$name"
        train "$name" 2 & pid=$!
        case $moment in
            start) ;;
            random) sleep "$(printf '0.%03d' "$(((RANDOM % 900 + 100) >> attempt))")" ;;
            steps) wait_for "$name" 2 || true ;;
            checkpoint) wait_for_file "$name/run/checkpoints/step-00000003.h5" || true ;;
        esac
        kill_a_rank || true
        wait_for_run
        wait_until_gone "$name"
        if grep -q 'signal 9' "$name/log"; then killed=yes; break; fi
    done
    [ "$killed" ] || fail "$name: not killed in ten attempts, the last ended with exit code $rc"
    [ "$rc" -ne 0 ] || fail "$name: exit code 0, but a rank was killed"
    train "$name" 2 || fail "$name: going on"
    same "$name"
done
echo "interrupted runs end with the same bits"
