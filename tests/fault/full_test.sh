#!/usr/bin/env bash
# A disk that is full, or slow: a run that is well goes on, and one that ends loses nothing that it could still write.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
full=$(dirname "$soda")/tests/libsoda_test_full.so

# meet NAME RANKS SETTINGS [OPTION]...: the run NAME on a disk as SETTINGS say, words for full.c without SODA_TEST_; its
# exit code becomes rc, and the seconds it took `took`.
meet() {
    local name=$1 ranks=$2 settings launch=()
    read -ra settings <<<"$3"
    shift 3
    [ "$ranks" -eq 1 ] || launch=("$mpiexec" --oversubscribe --bind-to none -n "$ranks")
    mkdir -p "$name"
    ln -sfn "$name" current
    SECONDS=0 rc=0
    timeout 120 "${launch[@]}" env LD_PRELOAD="$full" "${settings[@]/#/SODA_TEST_}" "$soda" train run.yaml --threads 1 \
        --set output=current/run "$@" >>"$name/log" 2>&1 || rc=$?
    took=$SECONDS
}

# ended NAME CODE: with this exit code, and without temporary files; with the adapter of the run `one` if that is 0.
ended() {
    [ "$rc" -eq "$2" ] || fail "$1: exit code $rc, expected $2"
    [ -z "$(find "$1/run" -name '*.tmp-*')" ] || fail "$1: a temporary file is left"
    [ "$2" -ne 0 ] || cmp one/run/adapter.safetensors "$1/run/adapter.safetensors" || fail "$1: another adapter"
}

train one 2 || fail "the run that others are compared with"

# Pictures that find no room are left out by name, on whichever rank, and the others are there.
meet pictures 2 FULL=samples/step-00000005 --set sample.every=5 --set sample.steps=2 \
    --set 'sample.prompts=["a fox", "a key", "a cup"]'
ended pictures 0
says pictures "training continues without these pictures: rank 0 of 2 on $(uname -n): "
says pictures "/samples/step-00000005-0.png: cannot write: No space left on device"
for i in 0 1 2; do
    says pictures "current/run/samples/step-00000005-$i.png is left out"
    [ -e "pictures/run/samples/step-00000010-$i.png" ] || fail "pictures: picture $i of step 10 is missing"
done
[ "$(grep -c 'is left out' pictures/log)" -eq 3 ] || fail "pictures: others are left out"

# So is the sheet at the end, which the same command draws again, also where a folder has its name.
sheet=(--set validation.path="$images/test" --set validation.pictures=2)
meet sheet 2 FULL=samples/validation.png "${sheet[@]}"
ended sheet 0
says sheet "the run ends without this picture; rerun the command to draw it again: "
says sheet "soda: done: 10 steps"
mkdir sheet/run/samples/validation.png
meet sheet 1 '' "${sheet[@]}"
ended sheet 0
says sheet "/samples/validation.png: cannot rename to: Is a directory"
rmdir sheet/run/samples/validation.png
meet sheet 1 '' "${sheet[@]}"
ended sheet 0
[ -f sheet/run/samples/validation.png ] || fail "sheet: it is not drawn again"

# stop_behind NAME FULL...: a run whose lines of metrics.jsonl find no room is told to stop; it did `steps` steps.
stop_behind() {
    local name=$1
    mkdir -p "$name"
    ln -sfn "$name" current
    env LD_PRELOAD="$full" SODA_TEST_FULL=metrics.jsonl "${@:2}" "$soda" train run.yaml --threads 1 \
        --set output=current/run --set checkpoint.every=1000000 --set train.steps=1000000 >"$name/log" 2>&1 & pid=$!
    until grep -q 'keeps its lines in memory' "$name/log"; do
        kill -0 "$pid" 2>/dev/null || fail "$name: keeps no lines"
        sleep 0.1
    done
    kill -USR1 "$pid"
    rc=0
    wait "$pid" || rc=$?
    [ "$rc" -eq 75 ] || fail "$name: exit code $rc, expected 75"
    steps=$(sed -n 's/.*stopped after step \([0-9]*\) of .*/\1/p' "$name/log")
}

# A run that stops writes what waited: the one that resumes does not make these lines again. Room comes with the last save.
stop_behind lines SODA_TEST_FULL_UNTIL=checkpoints/step-
seq 0 $((steps - 1)) | cmp - <(sed 's/{"step": \([0-9]*\), "loss".*/\1/' lines/run/metrics.jsonl) || fail "lines: of $steps steps"
if grep -q 'are missing' lines/log; then fail "lines: missed some that are there"; fi

# Without room it says how many there are not.
stop_behind lost
says lost "soda: warning: $steps lines are missing: "

# The same of spectra, of which the last save could not write the entry.
meet spectra 1 'FULL=spectra.h5 FULL_WRITES=1' --set checkpoint.time_limit=0.1
[ "$rc" -eq 75 ] || fail "spectra: exit code $rc, expected 75"
says spectra "training continues without this entry in spectra.h5: "
[ -e spectra/run/spectra.h5 ] || fail "spectra: not written"

# The adapter is written after all where room comes while it is tried again; else the run says so, and the same command
# makes it of the last checkpoint.
meet adapter 2 'FULL=adapter.safetensors FULL_WRITES=4'
ended adapter 0
same adapter
says adapter "retrying: "
says adapter "/adapter.safetensors: cannot write: No space left on device"
says adapter "deleted 1 older checkpoint to make room"
meet late 2 FULL=adapter.safetensors --set checkpoint.retry=2
ended late 1
one_error late "/adapter.safetensors: cannot write: No space left on device"
[ ! -e late/run/adapter.safetensors ] || fail "late: there is an adapter"
meet late 1 ''
ended late 0
says late "/checkpoints/step-00000010.h5 at step 10 of 10"

# A run whose saves take long stops early enough for the last one and for one that is on its way: twice 10 s and more.
meet slow 1 'SLOW=checkpoints/step- SLOW_S=10' --set checkpoint.time_limit=40 --set checkpoint.every=1 --set train.steps=1000000
[ "$rc" -eq 75 ] || fail "slow: exit code $rc, expected 75"
[ "$took" -lt 40 ] || fail "slow: took $took s, had 40"
says slow "(near the time limit)"
steps=$(sed -n 's/.*stopped after step \([0-9]*\) of .*/\1/p' slow/log)
meet slow 1 '' --set train.steps="$steps"
[ "$rc" -eq 0 ] || fail "slow: going on"
says slow "at step $steps of $steps"

# The last save is tried again as long as there is time, and no longer: checkpoint.retry is ten minutes.
meet never 1 FULL=checkpoints/step- --set checkpoint.time_limit=40
ended never 1
[ "$took" -le 41 ] || fail "never: took $took s, had 40"
says never "retrying: "
one_error never "cannot write: No space left on device"

echo "a full disk ends no run that is well, and what waits for room is not lost"
