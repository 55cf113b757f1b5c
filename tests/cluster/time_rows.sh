# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# time_rows.sh: jobs that reach their time limit with and without a signal before it; arrays and chains.

# The end of the job is known from the script alone: no signal, and Slurm 22.05 sets no SLURM_JOB_END_TIME.
row_limit() {
    local limit early
    lengthen 20
    export LAB_SLEEP=44 # of the job's 60 seconds, so that little is left
    train limit --time=1 --signal=B:CONT@1
    limit=$job
    LAB_SLEEP=15
    train early --time=1 --signal=B:USR1@25 --nodes=1
    early=$job
    unset LAB_SLEEP
    until_true 150 "early: not started again" is "$early" Restarts 1
    grep -q 'received USR1' early.log || fail "early: expected a signal before the time limit"
    until_true 150 "limit: not started again" is "$limit" Restarts 1
    grep -q 'near the time limit' limit.log || fail "limit: expected a stop before the time limit"
    grep -q 'exit code 75' limit.log || fail "limit: expected exit code 75"
    until_true 240 "limit: not finished" is "$limit" JobState COMPLETED
    run=$work/runs/early job=$early
    finished early 240
    run=$work/runs/limit job=$limit
    finished limit 240
}

# One adapter per subject.
row_array() {
    local name
    mkdir -p subjects/a subjects/b
    cp "$SOURCE"/configs/quickstart/images/train/* subjects/a/
    cp "$SOURCE"/configs/quickstart/images/train/* subjects/b/
    submit array array.slurm --array=1-2 -- run.yaml subjects runs
    until_true 240 "array: not finished" test -f runs/a/adapter.safetensors -a -f runs/b/adapter.safetensors
    for name in a b; do
        run=$work/runs/$name
        check_run "array, $name"
    done
}

# A chain: its first job is stopped, its second finishes the run, its third is not needed.
row_chain() {
    local jobs
    run=$work/runs/chain
    mapfile -t jobs < <(SODA_SBATCH="-o $work/chain.log --exclusive" bash jobs/chain.slurm 3 run.yaml --set "output=$run")
    job=${jobs[0]}
    until_true 60 "chain: no checkpoint" reached 10
    scancel --batch --signal=USR1 "$job"
    until_true 60 "chain: its first job goes on" is "$job" JobState FAILED
    job=${jobs[1]}
    grep -q 'left to the next job of the chain' chain.log || fail "chain: the log does not say what comes next"
    finished chain 120
    is "$job" OverSubscribe NO || fail "chain: SODA_SBATCH was not heeded"
    is "${jobs[2]}" JobState CANCELLED || fail "chain: its third job is $(field "${jobs[2]}" JobState)"
}
