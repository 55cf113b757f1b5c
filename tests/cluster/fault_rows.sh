# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# fault_rows.sh: runs that lose a rank, a cable or a node: the job goes on by itself, and in the end its adapter is that
# of a run that nothing disturbed. Prints the seconds from each fault to the first new step.

# killed: one rank.
row_killed() {
    begin killed
    kill -9 "$(ranks_on "$(first_node 2)")"
    restarted killed 15 "$since"
    finished killed 180
}

# Stopped for ten seconds: no fault.
row_pause() {
    local rank
    soda_options=(--set parallel.timeout=30)
    begin pause
    rank=$(ranks_on "$(first_node 2)")
    kill -STOP "$rank"
    sleep 10
    kill -CONT "$rank"
    finished pause 180
    is "$job" Restarts 0 || fail "pause: started again"
}

# A network that is silent for twenty seconds: no fault either. (Slurm's own limit is above that by default: 300 s.)
row_blip() {
    sed -i 's/^SlurmdTimeout=.*/SlurmdTimeout=60/' "$SLURM_CONF"
    scontrol reconfigure
    soda_options=(--set parallel.timeout=30)
    begin blip
    ip link set v2 down
    sleep 20
    ip link set v2 up
    finished blip 180
    is "$job" Restarts 0 || fail "blip: started again"
    sed -i 's/^SlurmdTimeout=.*/SlurmdTimeout=10/' "$SLURM_CONF"
    scontrol reconfigure
}

# stopped NAME K: the rank on the job's K-th node stands still for good: the watchdog ends the job within limit + 15 s.
stopped() {
    soda_options=(--set parallel.timeout=30)
    begin "$1"
    soda_options=()
    until_true 60 "$1: no second checkpoint" reached 20 # all ranks know of the first by then
    since=$(date +%s)
    kill -STOP "$(ranks_on "$(first_node "$2")")"
    restarted "$1" 45 "$since"
    grep -q "rank $(($2 - 1)) of 2 on n$(first_node "$2") has not been heard of" "$1.log" ||
        fail "$1: the rank is not named"
    finished "$1" 180
}
row_stopped() { stopped stopped 2; }
row_stopped0() { stopped stopped0 1; }

# cut_cable NAME K: the cable of the job's K-th node.
cut_cable() {
    local node
    begin "$1"
    node=$(first_node "$2")
    ip link set "v$node" down
    restarted "$1" 60 "$since"
    ip link set "v$node" up
    node_back "$node" "$1"
    finished "$1" 180
}
row_cable() { cut_cable cable 2; }
row_cable0() { cut_cable cable0 1; }

# power_off NAME K: the job's K-th node has no power.
power_off() {
    local node
    begin "$1"
    node=$(first_node "$2")
    ip link set "v$node" down # else Linux would say goodbye for the processes
    kill -9 "$(cat "$LAB/$node.pid")"
    restarted "$1" 30 "$since"
    finished "$1" 180
    STAGE=again bash "$NODES" "$node"
    node_back "$node" "$1"
}
row_off() { power_off off 2; }
row_off0() { power_off off0 1; }
