#!/usr/bin/env bash
# C is formatted by clang-format 14, scripts pass shellcheck. Exits with 77 where there is no clang-format 14.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
shellcheck -x jobs/*.sh jobs/*.slurm jobs/*.pbs tests/*.sh tests/*/*.sh .ci/run
command -v clang-format-14 >/dev/null || { echo "SKIPPED: clang-format-14 is not installed"; exit 77; }
find src mpi cuda tests -name '*.[ch]' -print0 | xargs -0 clang-format-14 --dry-run --Werror
