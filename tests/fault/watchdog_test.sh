#!/usr/bin/env bash
# A rank that stands still for good, even before there is MPI, ends the run, with a message that names it, and sooner if the
# run was told to end; one that stands still for ten seconds does not, and changes no bit.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

train one 2 || fail "the run that is left alone"

# rank_of PID K: the process of rank K of the run that shell PID started.
rank_of() {
    local process
    for process in $(pgrep -P "$(pgrep -P "$1" | head -n 1)"); do
        if tr '\0' '\n' <"/proc/$process/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2"; then echo "$process"; fi
    done
}

# halted NAME RANK LINES [OPTION]...: starts run NAME and stops rank RANK after LINES steps; sets pid and process. A run
# that ended before proves nothing, and is made again.
halted() {
    local name=$1 rank=$2 lines=$3
    shift 3
    for _ in 1 2 3 4 5; do
        rm -rf "$name"
        train "$name" 2 --set parallel.timeout=30 "$@" & pid=$!
        if wait_for "$name" "$lines" && process=$(rank_of "$pid" "$rank") && [ "$process" ] &&
            kill -STOP "$process" 2>/dev/null && [ ! -f "$name/run/adapter.safetensors" ]; then return; fi
        [ -z "${process:-}" ] || kill -CONT "$process" 2>/dev/null || true
        wait "$pid" || true
    done
    fail "$name: ended five times before it could be stopped"
}

halted pause 1 2
sleep 10
kill -CONT "$process"
wait "$pid" || fail "pause: exit code $?, expected 0"
same pause

halted unsaved 0 1 --set checkpoint.every=1000 --set output=unsaved/run
unsaved=$pid unsaved_since=$SECONDS
halted saved 1 4 # a checkpoint is committed by now, or while rank 0 waits
saved=$pid saved_since=$SECONDS

# ended NAME PID SINCE CODE RANK
ended() {
    local rc=0
    wait "$2" || rc=$?
    [ "$rc" -eq "$4" ] || fail "$1: exit code $rc, expected $4"
    [ $((SECONDS - $3)) -le 47 ] || fail "$1: ended after $((SECONDS - $3)) s, expected 45 at most"
    says "$1" "rank $5 of 2 on $(hostname) has not been heard of for"
    [ "$(grep -c 'parallel.timeout' "$1/log")" -eq 1 ] || fail "$1: expected one message"
}
ended unsaved "$unsaved" "$unsaved_since" 1 0
ended saved "$saved" "$saved_since" 75 1
train saved 2 || fail "saved: going on"
same saved

# stalled NAME RANK PATH CALL [ENV]... [-- OPTION...]: starts run NAME, whose rank RANK does not come back from the CALL-th open
# of PATH.
stall=$(dirname "$soda")/tests/libsoda_test_stall.so
stalled() {
    local name=$1 variable variables=()
    local settings=(LD_PRELOAD="$stall" SODA_TEST_STALL_RANK="$2" SODA_TEST_STALL_PATH="$3" SODA_TEST_STALL_CALL="$4")
    shift 4
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    for variable in "${settings[@]}"; do variables+=(-x "$variable"); done
    mkdir -p "$name"
    (exec "$mpiexec" --oversubscribe --bind-to none -n 2 "${variables[@]}" "$soda" train limit.yaml --threads 1 \
        --set output="$name/run" "${@:2}" >"$name/log" 2>&1) & pid=$! since=$SECONDS
}

# told_of NAME PID SINCE WHO PHASE [CODE]: well before the default limit, which is 600 s, and the 150 s after which the next save
# would have waited too long for one that does not end.
told_of() {
    local rc=0
    wait "$2" || rc=$?
    [ "$rc" -eq "${6:-1}" ] || fail "$1: exit code $rc, expected ${6:-1}"
    [ $((SECONDS - $3)) -le 140 ] || fail "$1: ended after $((SECONDS - $3)) s, expected 45"
    one_error "$1" "$4"
    grep -aF 'soda: error:' "$1/log" | grep -qE "; last in $5 \(parallel.timeout: 30 s\)" || fail "$1: expected in its error: last in $5"
}

# Stalls as a run starts. Until the file is read the limit is that of --set, then the file's.
if [ -e "$stall" ]; then # not under sanitizers
    sed '$a parallel: {timeout: 30}' run.yaml >limit.yaml
    stalled early 1 limit.yaml 1 -- --set parallel.timeout=30
    early=$pid early_since=$since
    stalled unmet 1 limit.yaml 1 SODA_TEST_STALL_ALL=1 -- --set parallel.timeout=30
    unmet=$pid unmet_since=$since
    stalled read 1 limit.yaml 2 -- --set parallel.timeout=30
    read=$pid read_since=$since
    stalled program 1 /proc/self/exe 1
    program=$pid program_since=$since
    # A collective from which rank 1 does not come back, in a step: both seem to wait.
    mkdir never
    (exec "$mpiexec" --oversubscribe --bind-to none -n 2 -x LD_PRELOAD="$(dirname "$stall")/libsoda_test_collective.so" \
        -x SODA_TEST_FAIL_RANK=1 -x SODA_TEST_FAIL_CALL=300 -x SODA_TEST_FAIL_NEVER=1 "$soda" train limit.yaml --threads 1 \
        --set output=never/run --set train.steps=1000000 --set checkpoint.every=1000000 >never/log 2>&1) & never=$! never_since=$SECONDS
    # The thread that writes the first checkpoint, and the second, while training goes on.
    for save in 1 2; do
        stalled "save$save" 0 checkpoints/step- $save SODA_TEST_STALL_SYNC=1 -- --set train.steps=1000000
        saves[save]=$pid saves_since[save]=$since
    done
    told_of early "$early" "$early_since" "rank 1 on $(hostname) has made no progress for " "reading the configuration"
    told_of unmet "$unmet" "$unmet_since" "rank 0 on $(hostname) has waited for other ranks for " "starting MPI, in MPI_Init"
    told_of read "$read" "$read_since" "rank 1 of 2 on $(hostname) has made no progress for " "reading the configuration"
    told_of program "$program" "$program_since" "rank 1 of 2 on $(hostname) has made no progress for " "comparing programs"
    told_of never "$never" "$never_since" "wait for each other in collective number" "step [0-9]+: [a-z -]+, in all-reduce"
    step=$(sed -nE 's/.*; last in step ([0-9]+): .*/\1/p' never/log)
    [ "$step" = "$(wc -l <never/run/metrics.jsonl)" ] || fail "never: in step $step, but $(wc -l <never/run/metrics.jsonl) were made"
    for save in 1 2; do
        told_of save$save "${saves[save]}" "${saves_since[save]}" "rank 0 of 2 on $(hostname) has made no progress for " \
            "step [0-9]+: .*" $((save == 1 ? 1 : 75))
        one_error save$save " s in writing the checkpoint of step "
    done
fi

halted told 1 4
sleep 11
told_since=$SECONDS rc=0
kill -TERM "$(rank_of "$pid" 0)"
wait "$pid" || rc=$?
[ "$rc" -eq 75 ] || fail "told: exit code $rc, expected 75"
[ $((SECONDS - told_since)) -le 10 ] || fail "told: ended $((SECONDS - told_since)) s after SIGTERM, expected 10 at most"
says told "rank 1 of 2 on $(hostname) has not been heard of for 1"
says told "and the run was told to end"
train told 2 || fail "told: going on"
same told

train off 2 --set parallel.timeout=null || fail "off: failed"
same off
echo "ranks that stand still are found"
