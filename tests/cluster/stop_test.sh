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

# What can never work is not tried for ever.
printf '#!/bin/bash\nkill -9 $$\n' >dying
chmod +x dying
SODA_PROGRAM=$work/dying train loop --nodes=1
until_true 90 "loop: not given up" is "$job" JobState FAILED
grep -q 'two attempts in a row ended at step 0' loop.log || fail "loop: the reason is missing"
say "loop: ok"
