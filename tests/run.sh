#!/usr/bin/env bash
# run.sh [--no-install]: installs what is missing on Debian 12, builds soda five times (gcc release, gcc
# with ASan and UBSan, gcc with TSan, clang, clang with libFuzzer) and runs all tests. About 15 minutes on two idle cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

case "${1:-}" in
    "")
        soda_install_build
        soda_install_tests
        ;;
    --no-install) ;;
    *) echo "usage: tests/run.sh [--no-install]" >&2; exit 2 ;;
esac
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMP_WAIT_POLICY=passive # tests run side by side: a thread that waits gives its core away

# quietly STAGE COMMAND...: says the stage, and what the command printed only if it fails.
quietly() {
    local log
    log=$(mktemp)
    echo "== $1"
    shift
    if ! "$@" >"$log" 2>&1; then
        grep -v ' Passed ' "$log" | tail -n 200 >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

soda_build clang
quietly "clang-tidy" ctest --preset clang -R '^house/tidy$'

soda_build fuzz
quietly "fuzzing" ctest --preset fuzz -j "$(nproc)"

soda_build tsan # OpenMP's own barriers are unknown to TSan, so one thread a region
quietly "tests under TSan" env OMP_NUM_THREADS=1 ctest --preset tsan -R '^(core|comm|graph|io)/'

soda_build debug
quietly "tests under ASan and UBSan" ctest --preset debug -j "$(nproc)" -LE house

soda_build release
echo "== tests"
ctest --preset release
