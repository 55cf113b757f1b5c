#!/usr/bin/env bash
# lab.sh [--all] [SODA]: runs the shipped batch scripts on throw-away Slurm clusters of three nodes (nodes.sh), one with
# mpirun and one with srun side by side: some rows of the tests in *_rows.sh, about two minutes on an idle machine, or
# with --all every row, half an hour. Root only, with Slurm and munge (and sshd, for PBS); skipped, loudly, elsewhere.
# By hand, some rows: lab.sh SODA LAUNCHER ROW..., for instance lab.sh build/release/soda srun killed off0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
all=
if [ "${1:-}" = --all ]; then
    all=yes
    shift
fi
SODA=$(realpath "${1:-build/release/soda}") SOURCE=$PWD
export SODA SOURCE

lacks=
[ "$(id -u)" -eq 0 ] || lacks=" root"
for command in slurmctld slurmd sbatch munged ip unshare nsenter pgrep; do
    command -v "$command" >/dev/null || lacks+=" $command"
done
if [ -z "$lacks" ] && ! unshare -m -n -p -u -i --fork --mount-proc true 2>/dev/null; then lacks=" namespaces"; fi
if [ "$lacks" ]; then
    echo "******** SKIPPED: batch jobs on a cluster were not tested: this machine lacks$lacks ********" >&2
    exit 0
fi
[ -x "$SODA" ] || { echo "lab.sh: $SODA: there is no such program" >&2; exit 2; }

# run_rows LAUNCHER ROW...
run_rows() { LAUNCHER=$1 bash tests/cluster/nodes.sh "build/lab/$1" 3 bash tests/cluster/rows.sh "${@:2}"; }

if [ $# -gt 1 ]; then
    run_rows "${@:2}"
    exit
fi
mpirun=(signal early ends killed full pbs_lines) srun=(refused dry gpus export off0 model array)
if [ "$all" ]; then
    srun=(refused dry gpus plain export signal early ends nodes loop error model limit array chain killed pause blip stopped stopped0 cable cable0 off off0 full
        full_end shard shard_cable)
    mpirun=("${srun[@]}" pbs_lines)
    if [ -x /usr/sbin/sshd ]; then
        mpirun+=(pbs_train pbs_array pbs_chain)
    else
        echo "******** SKIPPED: jobs of PBS were not tested: this machine lacks sshd ********" >&2
    fi
fi
bad=0
run_rows mpirun "${mpirun[@]}" & first=$!
run_rows srun "${srun[@]}" & second=$!
wait "$first" || bad=1
wait "$second" || bad=1
exit "$bad"
