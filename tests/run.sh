#!/usr/bin/env bash
# run.sh [--no-install] [--no-gpu] [--all]: installs what is missing on Debian 12 or 13, builds soda five times (gcc
# release, gcc with ASan and UBSan, clang with TSan, clang, clang with libFuzzer) and runs all tests, then the quickstart
# and a short test in bare Debian roots (tests/fresh; --all: both, of both releases), then batch jobs on a Slurm cluster
# (tests/cluster; --all: every row). 30 to 65 minutes on two idle cores; with --all many hours: sweeps, which come last.
# The CUDA backend is tested too, in a simulator: where nvcc is missing, a CUDA toolkit is fetched once
# (tests/toolkit.sh); --no-gpu leaves it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

install=yes gpu=yes all=
for option in "$@"; do
    case $option in
        --no-install) install= ;;
        --no-gpu) gpu= ;;
        --all) all=yes ;;
        *) echo "usage: tests/run.sh [--no-install] [--no-gpu] [--all]" >&2; exit 2 ;;
    esac
done
if [ "$install" ]; then
    soda_install_build
    soda_install_tests
    if [ "$all" ]; then soda_install openssh-server; fi # by which mpirun starts ranks where there is no Slurm
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMP_WAIT_POLICY=passive # tests run side by side: a thread that waits gives its core away

# Why the CUDA backend is not tested; nothing if it is.
no_cuda=
if [ ! "$gpu" ]; then
    no_cuda="--no-gpu"
elif ! command -v "${CUDACXX:-nvcc}" >/dev/null; then
    if [ "$install" ]; then soda_install g++ python3-venv; fi # for nvcc, and for pip
    echo "== fetching a CUDA toolkit"
    if bash tests/toolkit.sh build/toolkit; then
        export CUDACXX=$PWD/build/toolkit/bin/nvcc CUDAToolkit_ROOT=$PWD/build/toolkit NCCL_ROOT=$PWD/build/toolkit
        # An installed soda knows no place in this tree.
        export LD_LIBRARY_PATH=$PWD/build/toolkit/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    else
        no_cuda="there is no nvcc in PATH or CUDACXX, and no toolkit could be fetched"
    fi
fi
cuda=-DSODA_CUDA=ON
if [ "$no_cuda" ]; then
    cuda=-DSODA_CUDA=OFF
    echo "== SKIPPED: the CUDA backend is neither built nor tested: $no_cuda"
fi

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

soda_build clang "$cuda"
quietly "clang-tidy" ctest --preset clang -R '^house/tidy$'

soda_build fuzz
quietly "fuzzing" ctest --preset fuzz -j "$(nproc)"

# By clang: TSan learns of its OpenMP's barriers by Archer, of gcc's it knows nothing.
soda_build tsan ${all:+"$cuda"}
quietly "tests under TSan" ctest --preset tsan -j "$(nproc)" \
    -R "^(core|comm|exec|graph|io|ops|backend|optim|run)/|^plan/whole_step\$${all:+|^cuda/(allocations|backend/update|lane|ops/linear)\$|^cusim/(exchange|state)\$}" -E @

soda_build debug "$cuda"
quietly "tests under ASan and UBSan" ctest --preset debug -j "$(nproc)" -LE 'house|^sweep$'

# fresh SUITE STAGE...: in a bare root; goes on where that cannot be made, and says so.
fresh() {
    local rc=0
    bash tests/fresh/run.sh "$@" || rc=$?
    [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ]
}
if [ "$all" ]; then
    fresh trixie quickstart build limits tests
    fresh bookworm quickstart build limits tests aarch64
else
    fresh trixie quickstart limits
    fresh bookworm build limits
fi

soda_build release "$cuda"
echo "== tests"
ctest --preset release -j "$(nproc)" -E '^(cuda|cusim)/'
if [ "$no_cuda" ]; then
    echo "== SKIPPED: tests of the CUDA backend: $no_cuda"
else
    echo "== tests of the CUDA backend in the simulator" # each on one core
    ctest --preset release -j "$(nproc)" -R '^(cuda|cusim)/'
fi
echo "== batch jobs on a Slurm cluster"
bash tests/cluster/lab.sh ${all:+--all} build/release/soda

if [ "$all" ]; then
    echo "== sweeps"
    ctest --test-dir build/release --output-on-failure -L '^sweep$'
    quietly "sweeps under ASan and UBSan" ctest --preset debug -j "$(nproc)" -L '^sweep$'
fi

lacks=
for level in base avx2 avx512 avx512bf16 amx; do
    SODA_ISA=$level build/release/soda --version >/dev/null 2>&1 || lacks+=" $level"
done
echo "== instruction sets that this CPU lacks, so that their tests were skipped:${lacks:- none}"
