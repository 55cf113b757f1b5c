#!/usr/bin/env bash
# by_rank.sh FIRST OTHER COMMAND...: under mpirun, runs COMMAND after the shell code FIRST on rank 0, after OTHER on the
# others: `true`, `cd DIR`, `export NAME=VALUE`, or `set -- "$@" OPTION...` for more arguments. mpirun's own way, A : B,
# crashes in Debian 13 (Open MPI 5.0.7).
set -eu
code=$1
[ "$OMPI_COMM_WORLD_RANK" = 0 ] || code=$2
shift 2
eval "$code"
exec "$@"
