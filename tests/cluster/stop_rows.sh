# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# stop_rows.sh: jobs that end early: signals, other numbers of nodes, no progress, errors.

row_plain() {
    train plain
    finished plain 180
    grep -q '^command: ' plain.log || fail "plain: the command was not printed"
    grep -q 'warning: this job may use 1 of the 2 CPUs' plain.log || fail "plain: a job without --exclusive is not warned"
}

# A signal to the script: 75, and the same job goes on by itself.
row_signal() {
    begin signal
    scancel --batch --signal=USR1 "$job"
    until_true 60 "signal: not started again" is "$job" Restarts 1
    restarted signal 60 "$since"
    grep -q 'soda ended with exit code 75' signal.log || fail "signal: expected exit code 75"
    grep -q "starting job $job again" signal.log || fail "signal: the log does not say what comes next"
    finished signal 180
    grep -q "done: $STEPS steps, [0-9]* of them in " signal.log || fail "signal: expected the steps of the second attempt"
}

# cancelled NAME: the job is cancelled, and leaves nothing behind.
cancelled() {
    scancel "$job"
    until_true 60 "$1: not cancelled" is "$job" JobState CANCELLED
    check_tidy "$1"
}

# Signals that come before soda takes them: while site.sh is read, and before the launcher, which fails of it, can pass them on.
row_early() {
    local first
    # shellcheck disable=SC2016 # for the scripts
    LAB_SITE='if [ "$(kill -USR1 $$; false)" ]; then :; fi' train soon_site --nodes=1
    first=$job
    # shellcheck disable=SC2016 # for the script
    printf '%s\n' '#!/bin/bash' "trap '' USR1" '[ "$SODA_ATTEMPT" != 0 ] || {' \
        '    scancel --batch --signal=USR1 "$SLURM_JOB_ID"; sleep 2; exit 244; }' "exec $SODA \"\$@\"" >soon
    chmod +x soon
    SODA_PROGRAM=$work/soon train soon --nodes=1
    finished soon 90
    is "$job" Restarts 1 || fail "soon: expected one more attempt"
    grep -q 'received USR1' soon.log || fail "soon: no signal came"
    job=$first run=$work/runs/soon_site
    finished soon_site 90
    is "$job" Restarts 1 || fail "soon_site: expected one more attempt"
}

# Asked to stop, soda saves, and the launcher ends with a code that says nothing (mpirun makes 1 of a rank that a signal
# ends): what was saved decides. A launcher that hangs, deaf to TERM, is killed at the end of the job.
row_ends() {
    local name saved deaf
    mkdir -p deaf
    printf '#!/bin/bash\ntrap "" TERM USR1\ntouch %s/deaf/ran\nsleep 613\n' "$work" >"deaf/$LAUNCHER"
    chmod +x "deaf/$LAUNCHER"
    # shellcheck disable=SC2016 # for the script
    LAB_SITE='PATH=$SODA_HOME/deaf:$PATH SODA_END_TIME_GIVEN=$(($(date +%s) + 5))' train deaf --nodes=1
    deaf=$job
    for name in saved unsaved; do
        # shellcheck disable=SC2016 # for the script
        printf '%s\n' '#!/bin/bash' "run=$work/runs/$name" 'mkdir -p "$run/checkpoints"' \
            'echo "$SODA_JOB $SODA_ATTEMPT $HOSTNAME" >"$run/.lock"' '[ "$SODA_ATTEMPT" = 0 ] || exit 0' \
            "trap '[ $name = unsaved ] || echo step-5.h5 >\"\$run/checkpoints/latest\"; exit 1' USR1 TERM" \
            "touch $name.waits" 'for _ in {1..600}; do sleep 0.1; done' >"$name"
        chmod +x "$name"
        SODA_PROGRAM=$work/$name train "$name" --nodes=1
        until_true 60 "$name: does not start" test -e "$name.waits"
        scancel --batch --signal=TERM "$job"
        [ "$name" = unsaved ] || saved=$job
    done
    until_true 60 "unsaved: not ended" is "$job" JobState FAILED
    is "$job" Restarts 0 || fail "unsaved: was started again"
    until_true 60 "saved: not started again" is "$saved" JobState COMPLETED
    is "$saved" Restarts 1 || fail "saved: expected one more attempt"
    for name in saved unsaved; do
        grep -q 'received TERM' $name.log || fail "$name: no signal came"
        grep -q 'soda ended with exit code 1;' $name.log || fail "$name: expected exit code 1"
    done
    job=$deaf run=$work/runs/deaf
    finished deaf 120
    [ -e deaf/ran ] || fail "deaf: the launcher did not run"
    grep -q 'soda ended with exit code 137;' deaf.log || fail "deaf: the launcher was not killed: $(cat deaf.log)"
    is "$job" Restarts 1 || fail "deaf: expected one more attempt"
    if pgrep -fx 'sleep 613'; then fail "deaf: what the launcher started is left"; fi
    say "ends: ok"
}

# A job that inherits nothing: what site.sh and the script set reaches every rank all the same.
row_export() {
    train export --export=NONE
    finished export 90
    grep -q "^slurm-$job 0 " "$run/.lock" || fail "export: soda was not told its job: $(cat "$run/.lock")"
}

# Cancelled, then submitted again on fewer and on more nodes.
row_nodes() {
    local seen
    begin nodes
    cancelled "nodes, on two"
    seen=$(step)
    train nodes --nodes=1
    until_true 90 "nodes: no progress on one node" reached $((seen + 10))
    cancelled "nodes, on one"
    train nodes --nodes=3
    finished nodes 180
}

# What can never work is not tried for ever: soda dies as it starts, or before, or after each step.
row_loop() {
    local loop unstarted
    run=$work/runs/loop
    # shellcheck disable=SC2016 # for the script
    printf '#!/bin/bash\nmkdir -p %s; echo "$SODA_JOB $SODA_ATTEMPT $HOSTNAME" >%s/.lock; kill -9 $$\n' "$run" "$run" >dying
    printf '#!/bin/bash\nkill -9 $$\n' >dead
    printf '%s\n' '#!/bin/bash' "mkdir -p $work/runs/restarts/checkpoints" \
        "echo step-\$((SODA_ATTEMPT + 1)).h5 >$work/runs/restarts/checkpoints/latest; exit 75" >short
    chmod +x dying dead short
    SODA_PROGRAM=$work/dying train loop --nodes=1
    loop=$job
    SODA_PROGRAM=$work/dead MAX_UNSTARTED=2 train unstarted --nodes=1
    unstarted=$job
    SODA_PROGRAM=$work/short MAX_RESTARTS=1 train restarts --nodes=1
    until_true 90 "restarts: not given up" is "$job" JobState FAILED
    is "$job" ExitCode 1:0 || fail "restarts: expected exit code 1, found $(field "$job" ExitCode)"
    is "$job" Restarts 1 || fail "restarts: expected one more attempt"
    grep -q 'was started again as often as MAX_RESTARTS=1 allows; the newest checkpoint is of step 2' restarts.log || fail "restarts: the reason is missing"
    until_true 90 "unstarted: not given up" is "$unstarted" JobState FAILED
    grep -q 'soda did not start in 2 attempts in a row' unstarted.log || fail "unstarted: the reason is missing"
    until_true 90 "loop: not given up" is "$loop" JobState FAILED
    grep -q 'two attempts in a row ended at step 0' loop.log || fail "loop: the reason is missing"
    say "loop: ok"
}

# An error of soda's own is no lost node.
row_error() {
    SODA_PROGRAM=/bin/false train error --nodes=2
    until_true 60 "error: not ended" is "$job" JobState FAILED
    is "$job" Restarts 0 || fail "error: was started again"
    say "error: ok"
}

# refused COMMAND...: ends with code 2 and one message.
refused() {
    local code=0
    "$@" >refused.log 2>&1 || code=$?
    [ "$code" = 2 ] || fail "refused: $*: expected exit code 2, found $code"
    [ "$(wc -l <refused.log)" -eq 1 ] || fail "refused: $*: expected one message, found: $(cat refused.log)"
}
refused_says() { grep -qF "error: $1" refused.log || fail "refused: expected '$1', found: $(cat refused.log)"; }

# What is typed wrongly is said in one line, on the login host.
row_refused() {
    local script tool
    for script in train.slurm array.slurm chain.slurm train.pbs array.pbs chain.pbs; do
        refused env SODA_HOME="$work/runs" bash jobs/$script run.yaml
        grep -q "error: $work/runs/jobs/.*SODA_HOME" refused.log || fail "refused: $script: $(cat refused.log)"
    done
    refused bash jobs/train.slurm
    refused bash jobs/array.slurm run.yaml
    refused bash jobs/chain.slurm
    refused bash jobs/chain.slurm run.yaml
    refused bash jobs/chain.slurm 3 none.yaml
    refused bash jobs/chain.pbs 3
    refused env LAB_SITE='exit 0' bash jobs/train.slurm run.yaml
    refused env LAB_SITE=false bash jobs/chain.slurm 3 run.yaml
    grep -q 'site.sh: a command in it, perhaps the last, failed with code 1' refused.log || fail "refused: $(cat refused.log)"
    refused env MAX_RESTARTS=many bash jobs/train.slurm run.yaml
    mkdir -p tools
    for tool in bash date dirname hostname realpath sed squeue tail; do ln -sf "$(command -v "$tool")" tools; done
    refused env LAB_SITE="PATH=$work/tools" bash jobs/train.slurm run.yaml
    refused_says "$LAUNCHER: no such program on login"
    refused env LAB_SITE="PATH=$work/tools" bash jobs/chain.slurm 3 run.yaml
    refused_says "sbatch: no such program on login"
    refused env LAB_SITE="PATH=$work/tools" RUN=run.yaml bash jobs/chain.pbs 3
    refused_says "qsub: no such program on login"
    refused env -u RUN bash jobs/train.pbs
    refused_says "RUN: expected the file of the run"
    refused env SODA_LAUNCHER=srun SODA_SRUN_MPI=pmi2 bash jobs/train.slurm run.yaml
    refused_says "SODA_SRUN_MPI=pmi2: expected pmix"
    say "refused: ok"
}

# dry_run TEXT COMMAND...: prints the command, which holds TEXT, and runs nothing.
dry_run() {
    local text=$1
    shift
    DRY_RUN=1 "$@" >dry.log 2>&1 || fail "dry: $*: $(cat dry.log)"
    grep -qF "$text" dry.log || fail "dry: $*: expected '$text', found: $(cat dry.log)"
    [ "$(wc -l <dry.log)" -eq 1 ] || fail "dry: $*: expected one line, found: $(cat dry.log)"
    [ ! -e runs/dry ] || fail "dry: $*: something ran"
}
row_dry() {
    local options="--set output=$work/runs/dry"
    # shellcheck disable=SC2086 # two options
    dry_run "command: $LAUNCHER" bash jobs/train.slurm run.yaml $options
    # shellcheck disable=SC2086
    dry_run "$SODA train run.yaml $options" bash jobs/train.slurm run.yaml $options
    printf 'n1\nn2\nn1\n' >nodefile
    dry_run "command: mpirun -np 3 --host n1:2\\,n2:1" env PBS_NODEFILE=nodefile SODA_LAUNCHER=mpirun RUN=run.yaml \
        "OPTIONS=$options" bash jobs/train.pbs
    say "dry: ok"
}

# site.sh as it is shipped: SODA_GPUS reaches sbatch, which finds none in this cluster.
row_gpus() {
    local gpus
    for gpus in '' 3; do
        (
            SODA_GPUS=$gpus
            # shellcheck source=jobs/site.sh
            . "$SOURCE/jobs/site.sh"
            sbatch -v --test-only jobs/train.slurm run.yaml
        ) >"gpus$gpus.log" 2>&1 || true
    done
    grep -q 'nodes  *: 2' gpus.log || fail "gpus: sbatch does not list its options: $(cat gpus.log)"
    if grep -q gpus gpus.log; then fail "gpus: asks for some: $(cat gpus.log)"; fi
    grep -q 'gpus-per-node  *: 3' gpus3.log || fail "gpus: asks for none: $(cat gpus3.log)"
    say "gpus: ok"
}

# Another model under the same path on the node of rank 1: refused, and nothing is written.
row_model() {
    local k weights
    mkdir -p model other
    cp -r "$SOURCE"/tests/golden/tiny-sd1/. model
    cp -r "$SOURCE"/tests/golden/tiny-sd1/. other
    weights=other/unet/diffusion_pytorch_model.safetensors
    printf '\x3f' | dd of="$weights" bs=1 seek=$(($(stat -c %s "$weights") - 5)) conv=notrunc status=none
    for k in 2 3; do on_node "$k" mount --bind "$work/other" "$work/model"; done
    soda_options=(--set model="$work/model")
    train model
    until_true 90 "model: not refused" is "$job" JobState FAILED
    for k in 2 3; do on_node "$k" umount "$work/model"; done
    is "$job" ExitCode 1:0 || fail "model: expected exit code 1, found $(field "$job" ExitCode)"
    is "$job" Restarts 0 || fail "model: was started again"
    grep -q 'rank 1 of 2 on n[23]: .*not the tensor that rank 0 read' model.log ||
        fail "model: rank, host and tensor are not named"
    if compgen -G "$run/checkpoints/*" || [ -e "$run/adapter.safetensors" ]; then fail "model: something was saved"; fi
    check_tidy model
    check_clean model
    say "model: refused: $(grep -c 'soda: error:' model.log) message"
}
