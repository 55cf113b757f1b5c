#!/usr/bin/env bash
# C is formatted by clang-format 14, scripts pass shellcheck.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
find src mpi tests -name '*.[ch]' -print0 | xargs -0 clang-format-14 --dry-run --Werror
shellcheck -x jobs/*.sh tests/*.sh tests/house/*.sh .ci/run
