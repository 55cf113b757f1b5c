#!/usr/bin/env bash
# exit_code.sh FOLDER COMMAND...: under mpirun, runs COMMAND and writes its exit code into the file FOLDER/RANK. mpirun
# ends the other ranks when one fails: it asks them with SIGTERM, which this script outlives as long as COMMAND does, and
# kills them later. The file of a rank that was killed still says `running`; of one that was never started there is none.
set -u
file=$1/$OMPI_COMM_WORLD_RANK
shift
trap : TERM
echo running >"$file"
"$@"
rc=$?
echo "$rc" >"$file"
exit "$rc"
