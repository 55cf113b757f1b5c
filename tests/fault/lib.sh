# shellcheck shell=bash disable=SC2034,SC2154 # variables of those who source it
# lib.sh SODA MPIEXEC SOURCE: sourced by the tests of whole runs. Each makes a folder of its own, with run.yaml:
# a small model, six pictures, everything that draws random numbers switched on.
set -euo pipefail
soda=$1 mpiexec=$2 source=$3
images=$source/configs/quickstart/images tiny_sd1=$source/tests/golden/tiny-sd1 tiny_sdxl=$source/tests/golden/tiny-sdxl
work=$(mktemp -d)
trap 'jobs -p | xargs -r kill 2>/dev/null || :; rm -rf "$work"' EXIT # jobs: of a test that failed
cd "$work"
export SODA_CACHE=$work/cache OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1

cat >run.yaml <<YAML
model: $tiny_sd1
data: {path: $images/train, resolution: 64, crop: random, flip: true, caption_dropout: 0.2}
adapter: {method: soda_svd}
train:
  steps: 10
  global_batch: 4
  optimizer: {rotation: {lr: 1.0e-2}, spectrum: {lr: 1.0e-2}}
  schedule: {type: constant, warmup: 3}
  min_snr_gamma: 5
  seed: 11
checkpoint: {every: 3, keep: 2, time_limit: none}
YAML

# train NAME RANKS [OPTION]...: in a folder NAME, which all runs call `current`: paths are stored in checkpoints, and
# runs that are compared have the same ones. One thread per rank, or $threads; with `none` soda decides. Returns
# soda's exit code.
train() {
    local name=$1 ranks=$2
    local count=(--threads "${threads:-1}")
    shift 2
    [ "${threads:-1}" = none ] && count=()
    mkdir -p "$name"
    ln -sfn "$name" current
    (exec "$mpiexec" --oversubscribe --bind-to none -n "$ranks" "$soda" train run.yaml "${count[@]}" \
        --set output=current/run "$@" >>"$name/log" 2>&1)
}

# draw_wide: pictures of three shapes in the folder `wide`, drawn by soda itself.
draw_wide() {
    local size picture
    mkdir wide
    for size in 96x48 48x96 64x64; do
        "$soda" sample --model "$tiny_sd1" --prompt "a red fox" --n 2 --steps 1 --threads 1 --out "wide/$size" \
            --width "${size%x*}" --height "${size#*x}" 2>>wide/log || fail "wide: soda sample"
        for picture in 0000 0001; do
            mv "wide/$size/$picture.png" "wide/$size-$picture.png"
            echo "a fox of $size" >"wide/$size-$picture.txt"
        done
        rmdir "wide/$size"
    done
}

# unlike FIRST OTHER COMMAND...: on two ranks, which by_rank.sh makes differ.
unlike() { "$mpiexec" --oversubscribe --bind-to none -n 2 bash "$source/tests/fault/by_rank.sh" "$@"; }

fail() {
    echo "FAILED: $*" >&2
    tail -n 30 ./*/log >&2
    exit 1
}

# same NAME: its last checkpoint and its adapter have the bytes of the run `one`.
same() {
    cmp "one/run/checkpoints/step-00000010.h5" "$1/run/checkpoints/step-00000010.h5" || fail "$1: another checkpoint"
    cmp one/run/adapter.safetensors "$1/run/adapter.safetensors" || fail "$1: another adapter"
}

# wait_for NAME LINES: until metrics.jsonl of run NAME has that many lines; false if it, as shell $pid, ended before.
wait_for() {
    local until=$((SECONDS + 300))
    while [ ! -f "$1/run/metrics.jsonl" ] || [ "$(wc -l <"$1/run/metrics.jsonl")" -lt "$2" ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        [ "$SECONDS" -lt "$until" ] || fail "$1: no step for 300 s"
        sleep 0.01
    done
}

# one_error NAME TEXT: the log of run NAME has one error, which holds TEXT. -a: Open MPI 5 may print bytes that are no text.
one_error() {
    [ "$(grep -ac 'soda: error:' "$1/log")" -eq 1 ] || fail "$1: expected one error"
    grep -aF 'soda: error:' "$1/log" | grep -qF "$2" || fail "$1: expected in its error: $2"
}

# says NAME TEXT: the log of run NAME holds TEXT, once.
says() {
    [ "$(grep -acF "$2" "$1/log")" -eq 1 ] || fail "$1: expected once in its log: $2"
}
