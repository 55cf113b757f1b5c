#!/usr/bin/env bash
# lab.sh [SODA]: runs the shipped batch scripts on throw-away Slurm clusters of three nodes (nodes.sh), with mpirun and with
# srun: signals, time limits, arrays, chains. Root only, with Slurm, munge and sshd installed; skipped,
# loudly, elsewhere. Two clusters at a time. By hand, one test: lab.sh SODA TEST LAUNCHER, for instance fault srun.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SODA=$(realpath "${1:-build/release/soda}") SOURCE=$PWD
export SODA SOURCE

lacks=
[ "$(id -u)" -eq 0 ] || lacks=" root"
for command in slurmctld slurmd sbatch munged sshd ip unshare nsenter pgrep; do
    command -v "$command" >/dev/null || lacks+=" $command"
done
if [ -z "$lacks" ] && ! unshare -m -n -p -u -i --fork --mount-proc true 2>/dev/null; then lacks=" namespaces"; fi
if [ "$lacks" ]; then
    echo "******** SKIPPED: batch jobs on a cluster were not tested: this machine lacks$lacks ********" >&2
    exit 0
fi
[ -x "$SODA" ] || { echo "lab.sh: $SODA: there is no such program" >&2; exit 2; }

# run_test TEST LAUNCHER
run_test() {
    local lab=build/lab/$1-$2
    LAUNCHER=$2 bash tests/cluster/nodes.sh "$lab" 3 bash "tests/cluster/$1_test.sh"
}

if [ $# -eq 3 ]; then
    run_test "$2" "$3"
    exit
fi
bad=0
for test in stop time; do # fault is run by hand: it takes half an hour
    run_test "$test" mpirun & first=$!
    run_test "$test" srun & second=$!
    wait "$first" || bad=1
    wait "$second" || bad=1
done
exit "$bad"
