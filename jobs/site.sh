# shellcheck shell=bash
# site.sh: the settings of one cluster, for every batch script of this folder. Edit it once. The scripts source it inside
# the job; source it in your login shell as well (`. jobs/site.sh`), so that sbatch takes account and partition from it.
# A variable that is set already is kept: after a change here, source it in a new shell, as jobs inherit what yours has.
# To submit from other folders, export SODA_HOME, which names soda's.

# Modules that soda was built with, for instance:
#   module load foss/2024a HDF5 Jansson libyaml utf8proc libpng libjpeg-turbo libwebp LibTIFF giflib OpenSSL

# Slurm: sbatch reads these names itself. SBATCH_EXCLUSIVE: whole nodes, as sbatch --exclusive. SODA_SBATCH: options of
# sbatch for jobs/chain.slurm.
#   export SBATCH_ACCOUNT=project123 SBATCH_PARTITION=compute SBATCH_EXCLUSIVE=exclusive
#   export SODA_SBATCH="--nodes=4 --time=12:00:00"

# PBS: options of every qsub; repeat here what differs from the #PBS lines, as a job that resubmits itself needs it.
#   SODA_QSUB="-A project123 -q workq -l select=4:ncpus=64:mpiprocs=1 -l walltime=12:00:00"
export SODA_QSUB=${SODA_QSUB:-}

# mpirun, or srun: Slurm's launcher, with PMIx. SODA_SRUN_MPI=pmix_v4, say, takes another one of `srun --mpi=list`.
export SODA_LAUNCHER=${SODA_LAUNCHER:-mpirun}

# The program, and where factorised weights and encoded pictures are kept: a folder that all nodes see.
export SODA_PROGRAM=${SODA_PROGRAM:-${SODA_HOME:-$PWD}/build/user/soda}
export SODA_CACHE=${SODA_CACHE:-${HOME:-}/.cache/soda}

# How often a job is started again, after a time limit, a lost node or a lost rank.
export MAX_RESTARTS=${MAX_RESTARTS:-20}

# How many attempts in a row may fail before soda starts, as long as a lost node is not known to the scheduler. Between
# them the job waits for 10, 20, 40 and so on seconds.
export MAX_UNSTARTED=${MAX_UNSTARTED:-5}

# GPUs per node; empty: none are asked for. (PBS: write ngpus=N into select.)
SODA_GPUS=${SODA_GPUS:-}
if [ "$SODA_GPUS" ]; then export SBATCH_GPUS_PER_NODE=$SODA_GPUS; fi
