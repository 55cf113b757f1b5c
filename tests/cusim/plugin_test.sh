#!/usr/bin/env bash
# plugin_test.sh SODA MPIEXEC: --backend cuda as a user meets it, with the plugin that holds the simulator: what is wrong
# with driver and GPUs is one message from one rank, before any work. And with the real plugin, where there is no driver.
set -euo pipefail
soda=$1 mpiexec=$2
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=$tests/golden/tiny-sd1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export SODA_CUDA_PLUGIN=libsoda_cusim.so
unset CUDA_VISIBLE_DEVICES

# unlike FIRST OTHER COMMAND...: on two ranks, which by_rank.sh makes differ.
unlike() { "$mpiexec" --oversubscribe --bind-to none -n 2 bash "$tests/fault/by_rank.sh" "$@"; }

fail() {
    echo "FAILED: $*" >&2
    cat log >&2
    exit 1
}

# bench RANKS [NAME=VALUE]...: the smallest piece of work that all ranks share, with these variables. Returns soda's exit code.
bench() {
    local ranks=$1
    shift
    env "$@" "$mpiexec" --oversubscribe --bind-to none -n "$ranks" "$soda" bench --arch "$arch" --latent 8 --repeat 1 --threads 1 \
        --backend cuda >log 2>&1
}

# refused TEXT RANKS [NAME=VALUE]...: exit code 1 and one error, which holds TEXT; no table was printed.
refused() {
    local text=$1 rc=0
    shift
    bench "$@" || rc=$?
    [ "$rc" -eq 1 ] || fail "exit code $rc, expected 1: $text"
    [ "$(grep -c 'soda: error:' log)" -eq 1 ] || fail "expected one error: $text"
    grep -F 'soda: error:' log | grep -qF -- "$text" || fail "expected in its error: $text"
    if grep -q '^peak' log; then fail "it began: $text"; fi
}

for ranks in 1 3; do
    refused 'no NVIDIA driver on this machine' "$ranks" CUSIM_NO_DRIVER=1
    refused 'the NVIDIA driver is too old: expected one for CUDA ' "$ranks" CUSIM_DRIVER=11040
    grep -qF 'found one for CUDA 11.4' log || fail 'the version of the driver'
    refused 'no GPU: CUDA_VISIBLE_DEVICES is not set' "$ranks" SODA_CUSIM_GPUS=0
    refused 'no GPU: CUDA_VISIBLE_DEVICES is ""' "$ranks" SODA_CUSIM_GPUS=4 CUDA_VISIBLE_DEVICES=
    refused 'simulated GPU: compute capability 7.0, expected 8.0 or newer' "$ranks" SODA_CUSIM_GPUS=3 CUSIM_CAPABILITY=7
    refused 'expected the file of a backend, found none at ./none.so' "$ranks" SODA_CUDA_PLUGIN=./none.so
done
refused 'another rank uses GPU 0000:01:00.0 already: this node has 3 ranks, and this one sees 2 GPUs' 3 SODA_CUSIM_GPUS=2
grep -q 'rank 2 of 3' log || fail 'the rank that has no GPU'
refused 'another rank uses GPU 0000:02:00.0 already' 2 SODA_CUSIM_GPUS=2 CUDA_VISIBLE_DEVICES=1

# A rank without a GPU beside one that has one.
rc=0
unlike true 'export CUDA_VISIBLE_DEVICES=' "$soda" bench --arch "$arch" --backend cuda >log 2>&1 || rc=$?
if [ "$rc" -ne 1 ] || [ "$(grep -c 'soda: error:' log)" -ne 1 ]; then fail 'a rank without a GPU'; fi
grep -q 'rank 1 of 2 .*no GPU: CUDA_VISIBLE_DEVICES is ""' log || fail 'the rank without a GPU'

# The plugin cut in the middle, and that of another build.
head -c 100000 "$(dirname "$soda")/libsoda_cusim.so" >cut.so
refused 'cut.so: damaged: expected' 2 SODA_CUDA_PLUGIN="$work/cut.so"
refused 'of another build than this program' 2 SODA_CUDA_PLUGIN="$(dirname "$soda")/tests/libsoda_test_build.so"

# NVIDIA's libraries are loaded, and there is nothing for them to work with. Skipped on a machine with a driver.
if [ ! -e /proc/driver/nvidia/version ]; then
    refused 'no NVIDIA driver on this machine' 1 SODA_CUDA_PLUGIN=libsoda_cuda.so
    refused 'no NVIDIA driver on this machine' 2 SODA_CUDA_PLUGIN=
else
    echo 'SKIPPED: the plugin without a driver: this machine has one'
fi

# Each rank has a GPU of its own: by number, or by what the launcher shows each of them. The map of ranks and GPUs comes
# first; that there is no model is found after it.
arch=$work/nowhere
mkdir "$arch"
mapped() {
    refused 'nowhere/unet/config.json' "$@"
    grep -q 'rank 0: .*, GPU 0: simulated GPU at 0000:01:00.0' log || fail "the GPU of rank 0"
    grep -q "rank 1: .*, GPU 1: simulated GPU at 0000:02:00.0" log || fail "the GPU of rank 1"
    if grep -q 'warning' log; then fail 'a warning'; fi
}
mapped 2 SODA_CUSIM_GPUS=2
mapped 3 SODA_CUSIM_GPUS=4
rc=0
SODA_CUSIM_GPUS=2 unlike 'export CUDA_VISIBLE_DEVICES=0' 'export CUDA_VISIBLE_DEVICES=1 CUSIM_MODEL=other' \
    "$soda" bench --arch "$arch" --backend cuda >log 2>&1 || rc=$?
[ "$rc" -eq 1 ] || fail "exit code $rc: a GPU for each rank"
grep -q 'rank 1: .*, GPU 0: other at 0000:02:00.0' log || fail 'the GPU that the launcher shows to rank 1'
grep -q 'warning: the ranks have GPUs of different models' log || fail 'GPUs of different models'

SODA_CUSIM_GPUS=3 "$soda" --version >log 2>&1
grep -q 'backend cuda: cuda:0 simulated GPU' log || fail 'soda --version'
