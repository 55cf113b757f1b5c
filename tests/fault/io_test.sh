#!/usr/bin/env bash
# Every call by which a run touches its folder, or the cache, goes wrong in turn (io_faults.c): it fails, the process is
# killed before or after it, a write is torn, or the power goes. Whatever happens, no other file is harmed, the run resumes
# from a checkpoint no older than the one it had, and the folder ends with the bytes of a run that was left alone. A cache
# never has a file that such a run does not leave, but for temporary files of a killed process, and serves the next run.
# A call that finds no room (ENOSPC) ends no run that has begun to train; before that, it may end with exit code 1.
# SODA_TEST_STRIDE: every how many of the injections to make; 1: all of them; 7: one or more at every call.
# SODA_TEST_STRIDE_TWO, SODA_TEST_STRIDE_CACHE: the same on two ranks, and in the cache. SODA_TEST_OFFSET: which one of
# so many.
# shellcheck source=tests/fault/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
faults=$(dirname "$soda")/tests/libsoda_test_io_faults.so
stride=${SODA_TEST_STRIDE:-97} offset=${SODA_TEST_OFFSET:-0}
stride_two=${SODA_TEST_STRIDE_TWO:-$((stride * 4))} stride_cache=${SODA_TEST_STRIDE_CACHE:-$((stride * 4))}

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

# begin NAME FROM: a folder NAME with a copy of run FROM and of its cache, which becomes `current`.
begin() {
    rm -rf "$1" kept
    mkdir -p "$1" kept
    cp -r "$2/run" "$1/"
    [ ! -d "$2/cache" ] || cp -a "$2/cache" "$1/"
    ln -sfn "$1" current
}

# result NAME: everything in its folder but times.
result() {
    (cd "$1/run" && find . -type f ! -name .lock ! -name metrics.jsonl -print0 | sort -z | xargs -0 sha256sum
        sed 's/, "images_per_s".*//' metrics.jsonl)
}

# cached NAME: every whole file in its cache.
cached() { (cd "$1/cache" && find . -type f ! -name lock ! -name '*.tmp-*' -print0 | sort -z | xargs -0r sha256sum); }

# check_cache FROM RC WHAT: of the run that ended with this code. Of a killed process there may be a temporary file, which
# is deleted as a file of the cache is, once that is above its limit.
check_cache() {
    local file
    while read -r file; do
        if [ "$2" -le 1 ] || [[ ! $file =~ /[0-9a-f]{64}\.safetensors\.tmp-[^/]+-[0-9]+$ ]]; then bad "$3: left $file"; fi
    done < <(find met/cache -name '*.tmp-*' -newer "$1/begun")
    cached met | sort >met/cached
    sort "$1/cached" "$1/before" | comm -23 met/cached - >met/others
    [ ! -s met/others ] || bad "$3: other files in the cache: $(head -n 5 met/others)"
}

# use_cache FROM WHAT: the next run finds all it needs, and leaves what it should.
use_cache() {
    rm -r met/run
    mkdir met/run
    echo "--- next" >>met/log
    go 6 1 || { bad "$2: the next run cannot use the cache"; return; }
    result met | cmp -s - "$1/result" || bad "$2: the next run that uses the cache makes other files"
    cached met | cmp -s - "$1/cached" || bad "$2: another cache after the next run"
    [ -z "$(find met/cache -name '*.tmp-*' ! -newer "$1/begun")" ] || bad "$2: an old temporary file stays"
}

# meet FROM STEP RANKS KIND NUMBER CALL PATH: that call goes wrong in a run that begins with the folder of FROM, whose
# newest checkpoint has STEP steps.
meet() {
    local from=$1 step=$2 ranks=$3 kind=$4 number=$5 what="$4 at $6 of $7 (call $5 of $1 on $3 ranks)" rc=0 resumed
    begin met "$from"
    go 6 "$ranks" LD_PRELOAD="$faults" SODA_FAULT_FOLDER="$watched" SODA_FAULT_KEEP="$work/kept/file" \
        SODA_FAULT="$kind" SODA_FAULT_AT="$number" || rc=$?
    made=$((made + 1))
    case $kind in
        before | after | torn | power) [ "$rc" -ne 0 ] || missed=$((missed + 1)) ;;
        *)
            [ "$rc" -le 1 ] || bad "$what: exit code $rc"
            [ -e kept/file.met ] || missed=$((missed + 1))
            ;;
    esac
    [ ! -d "$from/cache" ] || check_cache "$from" "$rc" "$what"
    if [ "$rc" -ne 0 ]; then
        ended=$((ended + 1))
        ended_by[$kind]=$((${ended_by[$kind]:-0} + 1))
        if [ "$kind" = ENOSPC ] && trains; then bad "$what: ended a run that trains"; fi
        echo "--- again" >>met/log
        go 6 "$ranks" || { bad "$what: cannot resume"; return; }
        resumed=$(sed -n '/^--- again/,$ s/.*resuming from .* at step \([0-9]*\) of .*/\1/p' met/log)
        [ "${resumed:-0}" -ge "$step" ] || bad "$what: resumed from step ${resumed:-0}, had $step"
    fi
    result met >met/result
    cmp -s met/result "$from/result" || bad "$what: not the same files: $(diff met/result "$from/result" | head -n 5)"
    [ ! -d "$from/cache" ] || use_cache "$from" "$what"
}

# Whether the run came to its first step: the footprint is what it says before that.
trains() { grep -q '^soda: memory of each rank: ' met/log; }

bad() {
    echo "BAD: $*" >&2
    failed=$((failed + 1))
    cp met/log "bad$failed.log"
}

# sweep FROM STEP RANKS STRIDE: of a FROM with a cache, the calls on that.
sweep() {
    local from=$1 step=$2 ranks=$3 every=$4 number call path kind at=0 kinds where=run
    begin met "$from"
    go 6 "$ranks" || fail "the run that is left alone"
    result met >"$from/result"
    if [ -d "$from/cache" ]; then
        where=cache
        cached "$from" >"$from/before"
        cached met >"$from/cached"
    fi
    begin met "$from"
    go 6 "$ranks" LD_PRELOAD="$faults" SODA_FAULT_FOLDER="$watched" SODA_FAULT_KEEP="$work/kept/file" \
        SODA_FAULT_LIST="$work/$from.all" || fail "the run that is listed"
    result met | cmp - "$from/result" || fail "counting changes the run"
    grep " $work/current/$where" "$from.all" >"$from.calls"
    rm "$from.all"
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

declare -A ended_by
made=0 missed=0 ended=0 failed=0 all=0 watched=$work/current/run
mkdir -p new/run half/run cold/run cold/cache/latents
echo mine >new/run/notes.txt
ln -sfn half current
cp new/run/notes.txt half/run/
go 3 1 || fail "the first half"
sweep new 0 1 "$stride"
sweep half 3 1 "$stride"
sweep half 3 2 "$stride_two"

# A cache that holds what has to go: a file that nobody used for long, and one of a process that was killed then. A few
# layers make all kinds of calls.
sed -i 's/^adapter: .*/adapter: {method: soda_svd, targets: [mid_block.*attn1]}/' run.yaml
export SODA_CACHE=$work/current/cache SODA_CACHE_LIMIT=0.03
watched+=:$SODA_CACHE
for file in "$(printf %064d 1).safetensors" "$(printf %064d 2).safetensors.tmp-host-1"; do
    truncate -s 40M "cold/cache/latents/$file"
    touch -d 2020-01-01 "cold/cache/latents/$file"
done
touch cold/begun
sweep cold 0 1 "$stride_cache"
[ "$(grep -c '/latents/\|/factors/' cold/cached)" -gt 8 ] || fail "cold: too few files in the cache"
if grep -q 0000000001 cold/cached; then fail "cold: an old file stays"; fi
echo "$made of $all injections made; $ended ended the run, which was resumed; $missed did not come to pass; $failed lost something"
for kind in "${!ended_by[@]}"; do echo "    $kind ended ${ended_by[$kind]} runs"; done
[ "$made" -gt 20 ] || fail "too few injections"
[ "$missed" -le $((made / 50 > 5 ? made / 50 : 5)) ] || fail "too many injections did not come to pass"
[ "$failed" -eq 0 ] || fail "$failed of $made injections"
