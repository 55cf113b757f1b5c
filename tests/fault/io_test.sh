#!/usr/bin/env bash
# Every call by which a run touches its folder goes wrong in turn (io_faults.c): it fails, the process is killed before
# or after it, a write is torn, or the power goes. Whatever happens, no other file is harmed, the run resumes from a
# checkpoint no older than the one it had, and the folder ends with the bytes of a run that was left alone.
# SODA_TEST_STRIDE: every how many of the injections to make; 1: all of them; 7: one or more at every call.
# SODA_TEST_STRIDE_TWO: the same on two ranks. SODA_TEST_OFFSET: which one of so many.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
faults=$(dirname "$soda")/tests/libsoda_test_io_faults.so
stride=${SODA_TEST_STRIDE:-97} offset=${SODA_TEST_OFFSET:-0}
stride_two=${SODA_TEST_STRIDE_TWO:-$((stride * 4))}

# go STEPS RANKS [NAME=VALUE]...: the run in the folder `current`, with these variables in its environment. It has one save
# between its steps: a second one might come due before the first is written, and be that of another step in each run.
go() {
    local steps=$1 ranks=$2 launch=()
    shift 2
    [ "$ranks" -eq 1 ] || launch=("$mpiexec" --oversubscribe --bind-to none -n "$ranks")
    "${launch[@]}" env "$@" "$soda" train run.yaml --threads 1 --set output=current/run --set data.resolution=32 \
        --set train.steps="$steps" --set train.global_batch=2 --set checkpoint.every=3 --set checkpoint.retry=5 \
        --set sample.every=3 --set sample.steps=1 --set 'sample.prompts=["a fox"]' >>current/log 2>&1
}

# begin NAME FROM: a folder NAME with a copy of run FROM, which becomes `current`.
begin() {
    rm -rf "$1" kept
    mkdir -p "$1" kept
    cp -r "$2/run" "$1/"
    ln -sfn "$1" current
}

# result NAME: everything in its folder but times.
result() {
    (cd "$1/run" && find . -type f ! -name .lock ! -name metrics.jsonl -print0 | sort -z | xargs -0 sha256sum
        sed 's/, "images_per_s".*//' metrics.jsonl)
}

# meet FROM STEP RANKS KIND NUMBER CALL PATH: that call goes wrong in a run that begins with the folder of FROM, whose
# newest checkpoint has STEP steps.
meet() {
    local from=$1 step=$2 ranks=$3 kind=$4 number=$5 what="$4 at $6 of $7 (call $5 of $1 on $3 ranks)" rc=0 resumed
    begin met "$from"
    go 6 "$ranks" LD_PRELOAD="$faults" SODA_FAULT_FOLDER="$work/current/run" SODA_FAULT_KEEP="$work/kept/file" \
        SODA_FAULT="$kind" SODA_FAULT_AT="$number" || rc=$?
    made=$((made + 1))
    case $kind in
        before | after | torn | power) [ "$rc" -ne 0 ] || missed=$((missed + 1)) ;;
        *) [ "$rc" -le 1 ] || bad "$what: exit code $rc" ;;
    esac
    if [ "$rc" -ne 0 ]; then
        ended=$((ended + 1))
        echo "--- again" >>met/log
        go 6 "$ranks" || { bad "$what: cannot resume"; return; }
        resumed=$(sed -n '/^--- again/,$ s/.*resuming from .* at step \([0-9]*\) of .*/\1/p' met/log)
        [ "${resumed:-0}" -ge "$step" ] || bad "$what: resumed from step ${resumed:-0}, had $step"
    fi
    result met >met/result
    cmp -s met/result "$from/result" || bad "$what: not the same files: $(diff met/result "$from/result" | head -n 5)"
}

bad() {
    echo "BAD: $*" >&2
    failed=$((failed + 1))
    cp met/log "bad$failed.log"
}

# sweep FROM STEP RANKS STRIDE
sweep() {
    local from=$1 step=$2 ranks=$3 every=$4 number call path kind at=0 kinds
    begin met "$from"
    go 6 "$ranks" || fail "the run that is left alone"
    result met >"$from/result"
    begin met "$from"
    rm -f "$from.calls"
    go 6 "$ranks" LD_PRELOAD="$faults" SODA_FAULT_FOLDER="$work/current/run" SODA_FAULT_KEEP="$work/kept/file" \
        SODA_FAULT_LIST="$work/$from.calls" || fail "the run that is listed"
    result met | cmp - "$from/result" || fail "counting changes the run"
    while read -r number call path <&3; do
        kinds="EIO ENOSPC EINTR ENOMEM before after power"
        [ "$call" != write ] || kinds+=" torn short"
        for kind in $kinds; do
            all=$((all + 1))
            at=$((at + 1))
            [ $((at % every)) -ne $((offset % every)) ] || meet "$from" "$step" "$ranks" "$kind" "$number" "$call" "${path#"$work/current/"}"
        done
    done 3<"$from.calls"
    echo "$from on $ranks ranks: $(wc -l <"$from.calls") calls"
}

made=0 missed=0 ended=0 failed=0 all=0
mkdir -p new/run half/run
echo mine >new/run/notes.txt
ln -sfn half current
cp new/run/notes.txt half/run/
go 3 1 || fail "the first half"
sweep new 0 1 "$stride"
sweep half 3 1 "$stride"
sweep half 3 2 "$stride_two"
echo "$made of $all injections made; $ended ended the run, which was resumed; $missed did not come to pass; $failed lost something"
[ "$made" -gt 20 ] || fail "too few injections"
[ "$failed" -eq 0 ] || fail "$failed of $made injections"
