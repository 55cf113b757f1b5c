# shellcheck shell=bash
# batch.sh: what the batch scripts of this folder do inside a job. They set `scheduler` (slurm or pbs) and SODA_HOME, then
# call batch_train RUN.yaml [OPTION]..., which runs `soda train` on the job's nodes and decides what comes next:
#
#   0                              the run is finished
#   75                             stopped early with a checkpoint: start again
#   14, 124, 137, 141, 143, 205    out of time, or a rank or a node was lost (14: as Open MPI 5 has it): start again
#   any other, in which soda did not start: start again if the launcher cannot start anything else either: a node is lost
#   any other, after a signal      start again if a checkpoint was saved since (mpirun makes 1 of TERM), or if the signal
#                                  came before soda could take it (138), or before mpirun could pass it on
#   any other                      an error: the job ends with that code
#
# A job is not started again after MAX_RESTARTS attempts, nor when two attempts in a row ended where they began. An attempt
# in which soda never came to lock the run's folder says nothing about the run, but about a node that the scheduler does
# not know to be lost yet: the job waits before it starts again, and ends after MAX_UNSTARTED such attempts in a row.
# With DRY_RUN=1 the exact command is printed, and nothing runs.
set -euo pipefail
: "${scheduler:?set by the scripts}"

batch_say() { echo "$(date +%H:%M:%S) jobs: $*" >&2; }
batch_refuse() { batch_say "error: $*"; exit 2; }

# batch_need PROGRAM HINT: refuses to go on without it.
batch_need() { command -v "$1" >/dev/null || batch_refuse "$1: no such program on $(hostname); $2"; }

# Sources jobs/site.sh. A command that fails there ends the job, as `exit` does: neither without a word.
batch_site() {
    trap 'batch_refuse "$SODA_HOME/jobs/site.sh: a command in it, perhaps the last, failed with code $?, or it calls exit"' EXIT
    set +u # not every `module` or `spack` bears it
    # shellcheck source=jobs/site.sh
    . "$SODA_HOME/jobs/site.sh"
    set -u
    trap - EXIT
}

# The run's folder: the last --set output=DIR, else the line `output: DIR` of the file, relative to it.
batch_output() {
    local file=$1 option output=
    shift
    for option in "$@"; do
        case $option in output=* | --set=output=*) output=${option#*output=} ;; esac
    done
    if [ "$output" ]; then
        realpath -m "$output"
        return
    fi
    output=$(sed -n 's/^output:[[:space:]]*//p' "$file" | tail -n 1 | sed 's/[[:space:]]\{1,\}#.*$//; s/[[:space:]]*$//; s/^["'\'']\(.*\)["'\'']$/\1/')
    [ "$output" ] || batch_refuse "$file: expected a line 'output: FOLDER', or --set output=FOLDER"
    case $output in
        *'$'*) batch_refuse "$file: output: names a variable; give --set output=FOLDER" ;;
        '~'*) output=$HOME${output#\~} ;;
        /*) ;;
        *) output=$(dirname "$file")/$output ;;
    esac
    realpath -m "$output"
}

# The step of the newest checkpoint; 0 if there is none.
batch_step() {
    local name=
    read -r name 2>/dev/null <"$output/checkpoints/latest" || true
    name=${name#step-}
    name=${name%.h5}
    case $name in
        '' | *[!0-9]*) echo 0 ;;
        *) echo $((10#$name)) ;;
    esac
}

# When the newest checkpoint was saved.
batch_saved() { stat -c %y "$output/checkpoints/latest" 2>/dev/null || true; }

# Seconds since 1970 at which the scheduler ends this job; nothing if it does not tell.
batch_end_time() {
    local text h m s
    if [ "$scheduler" = slurm ]; then
        text=$(squeue -h -j "${SLURM_JOB_ID:-0}" -o %e 2>/dev/null) || return 0
        date -d "$text" +%s 2>/dev/null || true
        return
    fi
    text=$(qstat -f "${PBS_JOBID:-}" 2>/dev/null | sed -n 's/^ *Resource_List.walltime = //p') || return 0
    IFS=: read -r h m s <<<"$text"
    # Started a little before this script, which began SECONDS ago: modules take their time.
    [ -z "$text" ] || echo $(($(date +%s) - SECONDS + 10#$h * 3600 + 10#$m * 60 + 10#$s - 5))
}

batch_until() {
    if [ "${SODA_END_TIME:-}" ]; then date -d "@$SODA_END_TIME" '+%F %T'; else echo "an unknown time"; fi
}

# Slurm gives a task one core, unless the job asks for more.
batch_warn_of_cores() {
    local node has=${SLURM_CPUS_ON_NODE:-}
    if [ "$scheduler" != slurm ] || [ -z "$has" ] || [ "${SLURM_CPUS_PER_TASK:-}" ]; then return; fi
    node=$(sinfo -h -N -n "${SLURMD_NODENAME:-}" -o %c 2>/dev/null | head -n 1) || return 0
    if [[ $node =~ ^[0-9]+$ ]] && [ "$has" -lt "$node" ]; then
        batch_say "warning: this job may use $has of the $node CPUs of $(hostname); sbatch --exclusive asks for all," \
            "--cpus-per-task=N for N per rank"
    fi
}

# Sets `launcher`, and `command`, which starts soda by it. --bind-to none: soda shares the cores of a node between its
# ranks itself.
batch_command() {
    local name hosts
    export OMPI_MCA_mpi_yield_when_idle=1                     # a rank that waits gives its core away
    # After sbatch --export=NONE, srun, by which mpirun starts its daemons, too, would hide from soda what was set here.
    export SLURM_EXPORT_ENV=ALL
    # mpirun probes after 4 s of silence, every 2 s, and ends the job with the 12th unanswered one: a network that pauses for
    # 20 s answers the last, a node that is gone is noticed after 24 to 28 s.
    export OMPI_MCA_oob_tcp_keepalive_time=4 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=12
    case $SODA_LAUNCHER in
        srun)
            [ "$scheduler" = slurm ] || batch_refuse "SODA_LAUNCHER=srun: PBS has no srun; use mpirun"
            # Without kill-on-bad-exit the other ranks wait for a killed one for ever.
            launcher=(srun --mpi="${SODA_SRUN_MPI:-pmix}" --kill-on-bad-exit=1)
            ;;
        mpirun)
            if [ "$scheduler" = slurm ]; then
                # salloc counts no tasks, unless it is told to
                launcher=(mpirun -np "${SLURM_NTASKS:-${SLURM_JOB_NUM_NODES:-1}}" --bind-to none)
            else
                # Not --hostfile: of a host that the file has once, Open MPI would use all cores, the next hosts never.
                hosts=$(awk '!count[$1]++ { host[++hosts] = $1 }
                    END { for (i = 1; i <= hosts; i++) printf "%s%s:%d", (i > 1 ? "," : ""), host[i], count[host[i]] }' \
                    "$PBS_NODEFILE")
                launcher=(mpirun -np "$(wc -l <"$PBS_NODEFILE")" --host "$hosts" --bind-to none)
            fi
            for name in SODA_END_TIME SODA_JOB SODA_ATTEMPT SODA_CACHE LD_LIBRARY_PATH; do
                [ -z "${!name:-}" ] || launcher+=(-x "$name")
            done
            ;;
        *) batch_refuse "SODA_LAUNCHER=$SODA_LAUNCHER: expected mpirun or srun" ;;
    esac
    batch_need "$SODA_LAUNCHER" "load the modules that soda was built with in jobs/site.sh"
    command=("${launcher[@]}" "$SODA_PROGRAM" train "$@")
    # mpirun may hang when a node is lost: TERM at the end of the job, by when soda has stopped, then KILL.
    if [ "${SODA_END_TIME:-}" ]; then command=(timeout -k 10 $((SODA_END_TIME - $(date +%s))) "${command[@]}"); fi
}

# batch_subject INDEX RUN.yaml SUBJECTS RUNS [OPTION]...: sets `subject`, the arguments of batch_train for one of them.
batch_subject() {
    local index=$1 run=${2:-} folder=${3:-} runs=${4:-} names=()
    [ -f "$run" ] || batch_refuse "expected RUN.yaml, a file, found '$run'; then SUBJECTS and RUNS"
    [ -d "$folder" ] || batch_refuse "expected SUBJECTS, a folder with one folder per subject, found '$folder'"
    [ "$runs" ] || batch_refuse "expected RUNS, the folder of all runs"
    mapfile -t names < <(cd "$folder" && find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | LC_ALL=C sort)
    if [ "$index" -lt 1 ] || [ "$index" -gt ${#names[@]} ]; then
        batch_refuse "$folder: job $index of the array has no subject: there are ${#names[@]}, numbered from 1"
    fi
    # shellcheck disable=SC2034 # for the scripts
    subject=("$run" --set "data.path=$(realpath "$folder")/${names[index - 1]}"
        --set "output=$(realpath -m "$runs")/${names[index - 1]}" "${@:5}")
}

batch_check() {
    local name
    [ $# -gt 0 ] || batch_refuse "expected RUN.yaml and perhaps options of soda train"
    [ -f "$1" ] || batch_refuse "$1: there is no such file in $PWD"
    SODA_PROGRAM=$(realpath -m "$SODA_PROGRAM")
    [ -x "$SODA_PROGRAM" ] || batch_refuse "$SODA_PROGRAM: no such program; build it, or set SODA_PROGRAM in jobs/site.sh"
    for name in MAX_RESTARTS MAX_UNSTARTED; do
        [[ ${!name:-} =~ ^[0-9]+$ ]] || batch_refuse "$name: expected a number, found '${!name:-}'"
    done
    case ${SODA_SRUN_MPI:-pmix} in
        pmix*) ;;
        *) batch_refuse "SODA_SRUN_MPI=$SODA_SRUN_MPI: expected pmix: Open MPI's ranks find each other through PMIx;" \
            "with pmi2 MPI_Init fails, or every rank runs alone" ;;
    esac
    if [ "$scheduler" = pbs ] && [ ! -f "${PBS_NODEFILE:-}" ]; then
        batch_refuse "PBS_NODEFILE: expected the list of this job's nodes, found '${PBS_NODEFILE:-}'; submit this script with qsub"
    fi
}

# Which attempt of which job this is: soda keeps older attempts out of the run's folder by it.
batch_identify() {
    if [ "$scheduler" = slurm ]; then
        export SODA_JOB=${SODA_CHAIN:-slurm-${SLURM_JOB_ID:-none}}
        if [ -z "${SODA_CHAIN:-}" ]; then SODA_ATTEMPT=${SLURM_RESTART_COUNT:-0}; fi
    else
        export SODA_JOB=${SODA_CHAIN:-${SODA_JOB:-pbs-${PBS_JOBID:-none}}}
    fi
    export SODA_ATTEMPT=${SODA_ATTEMPT:-0}
}

# Every attempt notes at which step it starts, which is where the one before it ended.
batch_note() {
    if ! { mkdir -p "$output" && echo "$SODA_JOB $SODA_ATTEMPT $1 $(hostname) $(date +%FT%T)" >>"$output/attempts"; }; then
        batch_say "warning: cannot write $output/attempts: attempts without progress will not be noticed"
    fi
}

# The last attempt of this job in which soda locked the run's folder, as .lock says (src/output/run_lock.h): none, if
# another job did, or none.
batch_locked() {
    local job='' attempt=''
    read -r job attempt _ 2>/dev/null <"$output/.lock" || true
    [ "$job" != "$SODA_JOB" ] || echo "$attempt"
}

# Whether soda locked the run's folder in attempt $1.
batch_has_started() { [ "$(batch_locked)" = "$1" ]; }

# batch_note_unstarted ATTEMPT STEP: notes of an attempt that began at STEP, where the run still is, that soda did not lock
# the folder in it: the line `JOB ATTEMPT unstarted` takes it out of the count of those that made no progress.
batch_note_unstarted() {
    if [ "$1" -lt 0 ] || batch_has_started "$1" || ! batch_starts "$1" | grep -qx "$1 $2"; then return; fi
    echo "$SODA_JOB $1 unstarted $(hostname) $(date +%FT%T)" >>"$output/attempts" || true
}

# ATTEMPT STEP, or ATTEMPT unstarted, of every attempt of this job up to number $1.
batch_starts() {
    awk -v job="$SODA_JOB" -v last="$1" '$1 == job && $2 + 0 <= last + 0 {
            if (!($2 in start)) order[++count] = $2
            start[$2] = $3
        } END { for (i = 1; i <= count; i++) print order[i], start[order[i]] }' "$output/attempts" 2>/dev/null || true
}

# How many of the last attempts up to number $1 never started.
batch_unstarted() { batch_starts "$1" | awk '{ n = $2 == "unstarted" ? n + 1 : 0 } END { print n + 0 }'; }

# batch_check_progress ATTEMPT STEP: fails where starting this attempt, from this step, is of no use.
batch_check_progress() {
    local attempt=$1 step=$2
    if [ "$attempt" -gt "$MAX_RESTARTS" ]; then
        batch_say "error: the job was started again as often as MAX_RESTARTS=$MAX_RESTARTS allows; the newest checkpoint is of step $step"
        return 1
    fi
    if [ "$(batch_unstarted $((attempt - 1)))" -ge "$MAX_UNSTARTED" ]; then
        batch_say "error: soda did not start in $MAX_UNSTARTED attempts in a row; not started again: the messages above tell why"
        return 1
    fi
    if [ "$(batch_starts $((attempt - 1)) | grep -v unstarted | tail -n 2 | grep -c " $step\$")" = 2 ]; then
        batch_say "error: two attempts in a row ended at step $step, where they began; not started again: the messages above tell why"
        return 1
    fi
}

# Passes USR1 on to what `timeout` started, or is about to: soda stops after its step with a checkpoint.
batch_pass_on() {
    if [ "${command[0]}" != timeout ]; then
        kill -USR1 "$child" || true
        return 0
    fi
    for _ in {1..20}; do ! pkill -USR1 -P "$child" || break; sleep 0.1; done
}

# TERM is passed on as USR1: mpirun would kill its ranks while they save. No `return`: in a trap, its status is that of the
# command before, and may end the script.
batch_signal() {
    signalled=$1 trapped=1
    batch_say "received $1: asking soda to stop"
    if [ "$child" ]; then batch_pass_on; fi # else: not started yet
}

# Whether a later attempt of this job has locked the run's folder.
batch_is_replaced() { [ "$(batch_locked)" -gt "$SODA_ATTEMPT" ] 2>/dev/null; }

# In the background. On a node that was cut off, script and ranks may live on after the scheduler has started the job again
# elsewhere: they end when a later attempt has the folder. Once that node is back, Slurm 22.05 takes the end of such ranks
# for that of the later attempt's, whose step has the same number, and may start the job once more: better soon than late.
batch_guard() {
    local rank
    trap '' USR1
    until batch_is_replaced; do sleep 10; done
    batch_say "a later attempt has taken the run's folder over: this one ends here"
    pkill -KILL -P "$child" || true
    kill -KILL "$child" 2>/dev/null || true
    for rank in $(pgrep -x "$(basename "$SODA_PROGRAM" | cut -c 1-15)"); do
        if grep -qszx "SODA_JOB=$SODA_JOB" "/proc/$rank/environ" &&
            grep -qszx "SODA_ATTEMPT=$SODA_ATTEMPT" "/proc/$rank/environ"; then kill -KILL "$rank"; fi
    done
}

batch_run() {
    local guard
    if [ "$signalled" ]; then
        code=75 # asked to stop before it began
        return
    fi
    "${command[@]}" &
    child=$!
    if [ "$signalled" ]; then batch_pass_on; fi # which came before `child` was known
    batch_guard &
    guard=$!
    while :; do
        trapped=
        wait "$child" && code=0 || code=$?
        [ "$trapped" ] || break
    done
    if batch_is_replaced; then
        wait "$guard" || true # ends the ranks
        exit "$code"
    fi
    kill "$guard" 2>/dev/null || true # cancelled: gone already
}

# Where soda did not start, a node is lost that the scheduler may not know of yet, and would use again.
batch_wait() {
    local count seconds
    count=$(batch_unstarted "$SODA_ATTEMPT")
    if [ "$count" -eq 0 ] || [ "$code" = 75 ] || [ "$signalled" ]; then return; fi
    seconds=$((10 << (count - 1)))
    batch_say "soda did not start: waiting for $seconds s before the next attempt"
    sleep "$seconds"
}

# A job that someone cancelled stays so; one that ran into its time limit is no longer RUNNING either. On a node that was
# cut off, this script may be the one of an attempt that Slurm has replaced.
batch_requeue() {
    local job state
    trap - USR1 TERM
    if [ "$scheduler" = slurm ]; then
        job=$(scontrol show job -o "$SLURM_JOB_ID") || job=
        state=$(sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p' <<<"$job")
        if [ "$(sed -n 's/.* Restarts=\([0-9]*\).*/\1/p' <<<"$job")" != "${SLURM_RESTART_COUNT:-0}" ]; then
            batch_say "Slurm has started the job again already, or does not answer: left to Slurm"
            return
        fi
        if [ "$state" != RUNNING ] && [ "$(date +%s)" -lt $((${SODA_END_TIME:-0} - 5)) ]; then
            batch_say "the job was cancelled: not started again"
            return
        fi
        batch_say "starting job $SLURM_JOB_ID again, from the newest checkpoint"
        scontrol requeue "$SLURM_JOB_ID"
        sleep 60 # until Slurm ends this script
    else
        SODA_ATTEMPT=$((SODA_ATTEMPT + 1)) RUN=$1 OPTIONS=${*:2}
        export RUN OPTIONS
        # shellcheck disable=SC2086 # several options
        qsub $SODA_QSUB -W "depend=afterany:$PBS_JOBID" \
            -v RUN,OPTIONS,SODA_HOME,SODA_JOB,SODA_ATTEMPT,SODA_PROGRAM,SODA_CACHE,MAX_RESTARTS,MAX_UNSTARTED "$SODA_HOME/jobs/train.pbs"
    fi
}

# Jobs of this chain that wait for their turn.
batch_end_chain() {
    [ "${SODA_CHAIN:-}" ] || return 0
    if [ "$scheduler" = slurm ]; then
        scancel --state=PENDING --name="$SODA_CHAIN"
    else
        qselect -N "$SODA_CHAIN" -s HQ | xargs -r qdel
    fi
}

# Whether the launcher starts a process on every node: if not, a node is lost, and soda is not to blame.
batch_can_launch() { timeout -k 5 20 "${launcher[@]}" true >/dev/null 2>&1; }

batch_again() {
    case $code in
        14 | 75 | 124 | 137 | 141 | 143 | 205) return 0 ;;
        0 | 2) return 1 ;;
    esac
    if [ "$signalled" ]; then
        [ "$code" = 138 ] || ! batch_has_started "$SODA_ATTEMPT" || [ "$(batch_saved)" != "$saved" ]
    else
        ! batch_has_started "$SODA_ATTEMPT" && ! batch_can_launch
    fi
}

batch_train() {
    local output code launcher=() command=() signalled='' child='' trapped step saved
    trap 'batch_signal USR1' USR1
    trap 'batch_signal TERM' TERM
    export SODA_HOME
    batch_site
    batch_check "$@"
    output=$(batch_output "$@")
    batch_identify
    SODA_END_TIME=${SODA_END_TIME_GIVEN:-$(batch_end_time)}
    export SODA_END_TIME
    [ "$SODA_END_TIME" ] || unset SODA_END_TIME
    batch_command "$@"
    printf '%s' "command:" >&2
    printf ' %q' "${command[@]}" >&2
    echo >&2
    [ "${DRY_RUN:-}" != 1 ] || return 0

    step=$(batch_step)
    batch_say "job $SODA_JOB, attempt $SODA_ATTEMPT, from step $step, until $(batch_until)"
    batch_warn_of_cores
    batch_note_unstarted $((SODA_ATTEMPT - 1)) "$step"
    batch_note "$step"
    batch_check_progress "$SODA_ATTEMPT" "$step" || { batch_end_chain; exit 1; }
    saved=$(batch_saved)
    batch_run
    step=$(batch_step)
    batch_say "soda ended with exit code $code; the newest checkpoint is of step $step"
    if batch_again; then
        batch_note_unstarted "$SODA_ATTEMPT" "$step"
        batch_check_progress $((SODA_ATTEMPT + 1)) "$step" || { batch_end_chain; exit 1; }
        batch_wait
        if [ "${SODA_CHAIN:-}" ]; then batch_say "left to the next job of the chain"; else batch_requeue "$@"; fi
        exit "$code"
    fi
    [ "$code" = 0 ] || batch_say "error: not started again: the messages above tell why"
    batch_end_chain
    exit "$code"
}
