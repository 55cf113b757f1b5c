# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# pbs_rows.sh: the batch scripts for PBS, without a PBS server: what Slurm makes of their #PBS lines, and runs through an
# emulator (pbs.sh). By mpirun alone: PBS has no other launcher.

# Slurm reads #PBS lines itself; it makes no PBS_NODEFILE, and the script says so once. The nodes have 2 cores, not 8.
row_pbs_lines() {
    sed 's/ncpus=8/ncpus=2/' jobs/train.pbs >jobs/lines.pbs
    submit pbs_lines lines.pbs --export="ALL,RUN=run.yaml" --
    is "$job" JobName soda || fail "pbs_lines: the name is $(field "$job" JobName)"
    is "$job" TimeLimit 04:00:00 || fail "pbs_lines: the time limit is $(field "$job" TimeLimit)"
    until_true 60 "pbs_lines: not ended" is "$job" JobState FAILED
    is "$job" NumNodes 2 || fail "pbs_lines: $(field "$job" NumNodes) nodes"
    is "$job" ExitCode 2:0 || fail "pbs_lines: expected exit code 2, found $(field "$job" ExitCode)"
    [ "$(wc -l <pbs_lines.log)" -eq 1 ] || fail "pbs_lines: expected one message"
    grep -q 'PBS_NODEFILE: expected the list of this job' pbs_lines.log || fail "pbs_lines: another message"
    say "pbs_lines: ok"
}

start_pbs() {
    [ -z "${PBS_FOLDER:-}" ] || return 0
    export PBS_FOLDER=$LAB/pbs
    mkdir "$PBS_FOLDER"
    bash "$SOURCE/tests/cluster/pbs.sh" serve &
    until_true 10 "pbs.sh does not run" test -e "$PBS_FOLDER/.bin/qdel"
    PATH=$PBS_FOLDER/.bin:$PATH
}
pbs_is() { [ "$(cat "$PBS_FOLDER/${1%.login}/$2")" = "$3" ]; }

# pbs_ended ID CODE SECONDS
pbs_ended() {
    ln -sfn "$PBS_FOLDER/${1%.login}/out" log
    until_true "$3" "job $1 of the emulator goes on" pbs_is "$1" state F
    pbs_is "$1" code "$2" || fail "job $1 of the emulator: expected code $2, found $(cat "$PBS_FOLDER/${1%.login}/code")"
}

# Stops before its walltime, and submits itself again.
row_pbs_train() {
    local id next
    start_pbs
    lengthen 20
    run=$work/runs/pbs_train
    id=$(OPTIONS="--set output=$run ${soda_options[*]}" LAB_SLEEP=40 qsub -l select=2:ncpus=2:mpiprocs=1 -l walltime=00:01:00 \
        -v RUN=run.yaml,OPTIONS,LAB_SLEEP jobs/train.pbs)
    pbs_ended "$id" 75 120
    grep -q 'near the time limit' log || fail "pbs_train: expected a stop before the walltime"
    next=$((${id%.login} + 1))
    pbs_ended "$next" 0 240
    check_run pbs_train
}

row_pbs_array() {
    local id k
    start_pbs
    mkdir -p subjects/a subjects/b
    cp "$SOURCE"/configs/quickstart/images/train/* subjects/a/
    cp "$SOURCE"/configs/quickstart/images/train/* subjects/b/
    id=$(qsub -J 1-2 -v "RUN=run.yaml,SUBJECTS=subjects,RUNS=runs/pbs" jobs/array.pbs)
    for k in 1 2; do pbs_ended "${id%\[*}[$k]" 0 240; done
    for k in a b; do
        run=$work/runs/pbs/$k
        check_run "pbs_array, $k"
    done
}

# A chain: its first job is stopped, its second finishes the run, its third is not needed.
row_pbs_chain() {
    local ids
    start_pbs
    run=$work/runs/pbs_chain
    mapfile -t ids < <(RUN=run.yaml OPTIONS="--set output=$run" bash jobs/chain.pbs 3)
    until_true 90 "pbs_chain: no checkpoint" reached 10
    kill -USR1 "$(ranks_on 1)"
    pbs_ended "${ids[0]}" 75 60
    pbs_ended "${ids[1]}" 0 240
    pbs_ended "${ids[2]}" deleted 10
    check_run pbs_chain
}
