#!/usr/bin/env bash
# Jobs that end early: signals, time limits, other numbers of nodes, no progress.
. "$SOURCE/tests/cluster/lib.sh"

train plain
finished plain 120
grep -q '^command: ' plain.log || fail "plain: the command was not printed"

# A signal to the script: 75, and the same job goes on by itself.
train signal
until_true 60 "signal: no checkpoint" reached 10
scancel --batch --signal=USR1 "$job"
until_true 60 "signal: not started again" is "$job" Restarts 1
grep -q 'soda ended with exit code 75' signal.log || fail "signal: expected exit code 75"
finished signal 120

# Cancelled, then submitted again on fewer and on more nodes.
train nodes
until_true 60 "nodes: no checkpoint" reached 10
scancel "$job"
until_true 60 "nodes: not cancelled" is "$job" JobState CANCELLED
check_tidy "nodes, cancelled"
seen=$(step)
train nodes --nodes=1
until_true 60 "nodes: no progress on one node" reached $((seen + 10))
scancel "$job"
until_true 60 "nodes: not cancelled on one node" is "$job" JobState CANCELLED
check_tidy "nodes, cancelled on one"
train nodes --nodes=3
finished nodes 120

# What can never work is not tried for ever: soda dies as it starts, or before.
run=$work/runs/loop
# shellcheck disable=SC2016 # for the script
printf '#!/bin/bash\nmkdir -p %s; echo "$SODA_JOB $SODA_ATTEMPT $HOSTNAME" >%s/.lock; kill -9 $$\n' "$run" "$run" >dying
printf '#!/bin/bash\nkill -9 $$\n' >dead
chmod +x dying dead
SODA_PROGRAM=$work/dying train loop --nodes=1
loop=$job
SODA_PROGRAM=$work/dead MAX_UNSTARTED=2 train unstarted --nodes=1
until_true 90 "unstarted: not given up" is "$job" JobState FAILED
grep -q 'soda did not start in 2 attempts in a row' unstarted.log || fail "unstarted: the reason is missing"
until_true 90 "loop: not given up" is "$loop" JobState FAILED
grep -q 'two attempts in a row ended at step 0' loop.log || fail "loop: the reason is missing"
say "loop: ok"

# An error of soda's own is no lost node.
SODA_PROGRAM=/bin/false train error --nodes=2
until_true 60 "error: not ended" is "$job" JobState FAILED
is "$job" Restarts 0 || fail "error: was started again"
say "error: ok"
