#!/usr/bin/env bash
# at_level.sh PROGRAM LEVEL COMMAND...: runs a test with instruction set LEVEL as the limit; exit code 77 if soda
# (PROGRAM) finds that this CPU lacks it.
set -eu
program=$1
export SODA_ISA=$2
shift 2
if ! said=$("$program" --version 2>&1); then
    echo "not tried: $said"
    exit 77
fi
exec "$@"
