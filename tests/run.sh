#!/usr/bin/env bash
# run.sh [--no-install] [--all]: installs what is missing on Debian 12 or 13, builds soda five times (gcc release, gcc
# with ASan and UBSan, clang with TSan, clang, clang with libFuzzer) and runs all tests, then the quickstart and a short
# test in bare Debian roots (tests/fresh; --all: both, of both releases), then batch jobs on a Slurm cluster
# (tests/cluster; --all: every row). About 40 minutes on two idle cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

install=yes all=
for option in "$@"; do
    case $option in
        --no-install) install= ;;
        --all) all=yes ;;
        *) echo "usage: tests/run.sh [--no-install] [--all]" >&2; exit 2 ;;
    esac
done
if [ "$install" ]; then
    soda_install_build
    soda_install_tests
    if [ "$all" ]; then soda_install openssh-server; fi # by which mpirun starts ranks where there is no Slurm
fi
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

soda_build tsan # by clang: TSan learns of its OpenMP's barriers by Archer, of gcc's it knows nothing
quietly "tests under TSan" ctest --preset tsan -j "$(nproc)" -R '^(core|comm|exec|graph|io|ops|backend|optim|run)/' -E @

soda_build debug
quietly "tests under ASan and UBSan" ctest --preset debug -j "$(nproc)" -LE house

# fresh SUITE STAGE...: in a bare root; goes on where that cannot be made, and says so.
fresh() {
    local rc=0
    bash tests/fresh/run.sh "$@" || rc=$?
    [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ]
}
if [ "$all" ]; then
    fresh trixie quickstart build tests
    fresh bookworm quickstart build tests aarch64
else
    fresh trixie quickstart
    fresh bookworm build
fi

soda_build release
echo "== tests"
ctest --preset release -E '^(cuda|cusim)/'
if grep -q '^SODA_CUDA:BOOL=ON' build/release/CMakeCache.txt; then
    echo "== tests of the CUDA backend in the simulator" # each on one core
    ctest --preset release -j "$(nproc)" -R '^(cuda|cusim)/'
else
    echo "== SKIPPED: tests of the CUDA backend: nvcc is neither in PATH nor named by CUDACXX"
fi
if [ "$all" ]; then ctest --test-dir build/release --output-on-failure -L '^sweep$'; fi
echo "== batch jobs on a Slurm cluster"
bash tests/cluster/lab.sh ${all:+--all} build/release/soda

lacks=
for level in base avx2 avx512 avx512bf16 amx; do
    SODA_ISA=$level build/release/soda --version >/dev/null 2>&1 || lacks+=" $level"
done
echo "== instruction sets that this CPU lacks, so that their tests were skipped:${lacks:- none}"
