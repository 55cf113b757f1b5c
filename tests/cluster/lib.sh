# shellcheck shell=bash disable=SC2034 # variables for the rows
# lib.sh: sourced by rows.sh, which runs tests on the login host of a cluster that nodes.sh made. It gets SODA, the
# program, LAUNCHER (mpirun or srun) and SOURCE, soda's folder. Starts with the run that others are compared with.
set -euo pipefail
work=$LAB/work
mkdir -p "$work/jobs"
cd "$work"
began=$(date +%s)

say() { echo "$(($(date +%s) - began)) s $LAUNCHER: $*"; }
fail() {
    say "FAILED: $*" >&2
    sinfo -N -l >&2 || true
    squeue >&2 || true
    [ ! -f "$work/log" ] || tail -n 60 "$work/log" >&2
    exit 1
}

# The shipped scripts; the settings of this cluster are what a user edits.
cp "$SOURCE"/jobs/* jobs/
cat >jobs/site.sh <<X2
export SODA_LAUNCHER=\${SODA_LAUNCHER:-$LAUNCHER} SODA_PROGRAM=\${SODA_PROGRAM:-$SODA} SODA_CACHE=$work/cache
export SODA_QSUB="-l select=2:ncpus=2:mpiprocs=1 -l walltime=00:04:00"
export MAX_RESTARTS=\${MAX_RESTARTS:-20} MAX_UNSTARTED=\${MAX_UNSTARTED:-5} OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
if [ "\${SLURM_RESTART_COUNT:-\${SODA_ATTEMPT:-0}}" = 0 ]; then
    sleep \${LAB_SLEEP:-0}
    eval "\${LAB_SITE:-}"
fi
X2
export SODA_HOME=$work SBATCH_EXPORT=ALL

USUAL_STEPS=400 STEPS=$USUAL_STEPS
cat >run.yaml <<YAML
model: $SOURCE/tests/golden/tiny-sd1
data: {path: $SOURCE/configs/quickstart/images/train, resolution: 64, crop: random, flip: true, caption_dropout: 0.2}
adapter: {method: soda_svd}
train:
  steps: $STEPS
  global_batch: 2
  optimizer: {rotation: {lr: 1.0e-2}, spectrum: {lr: 1.0e-2}}
  seed: 11
checkpoint: {every: 10, keep: 2}
output: unused
YAML

# until_true SECONDS WHAT COMMAND...: waits for the command to succeed, five times as long: the machine may be busy. The log tells
# what came later than SECONDS.
until_true() {
    local goal=$1 limit=$((5 * $1)) what=$2 start took
    shift 2
    start=$(date +%s)
    until "$@" >/dev/null 2>&1; do
        [ $(($(date +%s) - start)) -lt "$limit" ] || fail "after $limit s: $what"
        sleep 0.2
    done
    took=$(($(date +%s) - start))
    if [ "$took" -gt "$goal" ]; then say "late by $((took - goal)) s: $took s in place of $goal s: $what"; fi
}

# submit NAME SCRIPT [OPTION of sbatch]... -- [ARGUMENT]...: sets job.
submit() {
    local name=$1 script=$2 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    ln -sfn "$name.log" log
    job=$(sbatch --parsable -o "$work/$name.log" "${options[@]}" "jobs/$script" "$@")
}
soda_options=() # of soda, for the next runs of a row
train() { # NAME [OPTION of sbatch]...: into runs/NAME, with ${soda_options[@]}
    local name=$1
    shift
    run=$work/runs/$name
    submit "$name" train.slurm "$@" -- run.yaml --set "output=$run" "${soda_options[@]}"
}
# begin NAME [OPTION of sbatch]...: trains until there is a checkpoint; sets since, for the fault that comes now.
begin() {
    train "$@"
    until_true 90 "$1: no checkpoint" reached 10
    since=$(date +%s)
}

field() { scontrol show job -o "$1" | sed -n "s/.* $2=\([^ ]*\).*/\1/p"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
step() { # of the newest checkpoint of $run
    local name=step-0.h5
    read -r name <"$run/checkpoints/latest" || true
    name=${name#step-}
    echo $((10#${name%.h5}))
}
reached() { [ "$(step 2>/dev/null)" -ge "$1" ]; }
is_idle() { sinfo -h -N -o '%N %t' | grep -qx "$1 idle"; }

# The first process of node K; a command on it; its processes of soda.
init_of() { pgrep -P "$(cat "$LAB/$1.pid")" | head -n 1; }
on_node() { nsenter -t "$(init_of "$1")" -a -r "${@:2}"; } # -r: where the lab runs in a chroot
ranks_on() { pgrep -x soda --ns "$(init_of "$1")" --nslist pid; }
first_node() { scontrol show hostnames "$(field "$job" NodeList)" | sed -n "${1:-1}s/^n//p"; }

made_step() { [ "$run/metrics.jsonl" -nt "$run/attempts" ] && tail -n 1 "$run/attempts" | awk '{ exit !($2 > 0) }'; }

# restarted NAME GOAL SINCE: the job makes a step again, GOAL seconds after the fault on an idle machine.
restarted() {
    local took verdict=met
    until_true "$2" "$1: no new step, job $job is $(field "$job" JobState)" made_step
    took=$(($(date +%s) - $3))
    [ "$took" -le "$2" ] || verdict=missed
    say "$1: a new step $took s after the fault (goal $2 s: $verdict); load $(cut -d ' ' -f 1 /proc/loadavg)"
}

# node_back K NAME
node_back() { until_true 90 "$2: node n$1 does not come back" is_idle "n$1"; }

# Nothing is left of a job: no process, no lock. (Temporary files of one that was killed are deleted by the next.)
check_tidy() {
    until_true 30 "$1: processes of soda are left: $(pgrep -a -x soda)" bash -c '! pgrep -x soda'
    flock -n "$run/.lock" true || fail "$1: the run's folder is still locked"
}
check_clean() {
    [ -z "$(find "$run" -name '*.tmp-*')" ] || fail "$1: temporary files are left: $(find "$run" -name '*.tmp-*')"
}
# ... and no temporary file, and it made the adapter of a run that nothing disturbed.
check_run() {
    cmp "$run/adapter.safetensors" "$alone/adapter.safetensors" || fail "$1: another adapter"
    [ "$(grep -c '"loss"' "$run/metrics.jsonl")" = "$STEPS" ] || fail "$1: expected $STEPS rows in metrics.jsonl"
    check_tidy "$1"
    check_clean "$1"
    say "$1: ok"
}
finished() { # NAME SECONDS
    until_true "$2" "$1: job $job is not finished, but $(field "$job" JobState)" is "$job" JobState COMPLETED
    check_run "$1"
}

# make_alone NAME: the run that others are compared with, of $STEPS steps; sets alone, its folder.
make_alone() {
    alone=$work/runs/$1
    rm -rf "$alone" # of another row, with as many steps
    OMP_WAIT_POLICY=passive SODA_CACHE=$work/cache "$SODA" train run.yaml --set output="$alone" --threads 1 \
        --set train.steps="$STEPS" >"$1.log" 2>&1 || { cat "$1.log"; fail "the run that others are compared with"; }
    say "the run that others are compared with: $STEPS steps"
}

# lengthen SECONDS: the runs of this row get so many steps that one thread takes that long, even on a fast machine, as it
# is now: it may have been busier before.
lengthen() {
    local start_ms took_ms=$alone_ms
    while
        STEPS=$((STEPS * 1100 * $1 / took_ms + 1))
        start_ms=$(date +%s%3N)
        make_alone "alone-$STEPS"
        took_ms=$(($(date +%s%3N) - start_ms))
        [ "$took_ms" -lt $((1000 * $1)) ]
    do :; done
    soda_options=(--set "train.steps=$STEPS")
}

start_ms=$(date +%s%3N)
make_alone alone
alone_ms=$(($(date +%s%3N) - start_ms))
