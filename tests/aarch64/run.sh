#!/usr/bin/env bash
# run.sh: cross-builds soda for aarch64, warnings as errors, and runs under qemu-user the tests of core, comm, graph,
# io, optim, all operators and replay, then the program itself. As root on Debian 12 (amd64). It adds packages of
# another architecture to the system, so tests/fresh/run.sh runs it in a bare root:
#
#     bash tests/fresh/run.sh bookworm aarch64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=jobs/setup.sh
. jobs/setup.sh

dpkg --print-foreign-architectures | grep -qx arm64 || dpkg --add-architecture arm64
soda_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross make cmake pkg-config qemu-user librandom123-dev:all \
    libjansson-dev:arm64 libpng-dev:arm64 libutf8proc-dev:arm64 libssl-dev:arm64 libopenmpi-dev:arm64 \
    libopenblas-dev:arm64 libhdf5-dev:arm64 libyaml-dev:arm64 libjpeg62-turbo-dev:arm64 libwebp-dev:arm64 \
    libtiff-dev:arm64 libgif-dev:arm64 libcmocka-dev:arm64

build=build/aarch64
cmake -B "$build" --toolchain tests/aarch64/toolchain.cmake -DCMAKE_BUILD_TYPE=Release -DSODA_TESTS=ON -DSODA_WERROR=ON
cmake --build "$build" -j "$(nproc)"
# Products are summed by fused multiply-adds: half the instructions, and the compiler's default has it otherwise.
for kernel in product_kernels attention_portable winograd_portable kron; do
    object=$(find "$build" -name "$kernel.c.o")
    fused=$(aarch64-linux-gnu-objdump -d "$object" | grep -c 'fmla.*4s' || true)
    [ "$fused" -gt 0 ] || { echo "$kernel.c: no fused multiply-add" >&2; exit 1; }
done
# qemu lets a process have more address space than its limit, which two tests measure.
OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive ctest --test-dir "$build" -j "$(nproc)" --output-on-failure --timeout 3000 \
    --no-tests=error -R '^(core|comm|exec|graph|io|ops|optim)/|^train/replay$|^app/selftest$' \
    -E '^core/(memory_limit|module_address_space)$'

# One instruction set, called base; no other name is taken.
soda() { qemu-aarch64 "$build/soda" "$@"; }
soda --version | grep -q 'instruction set base'
SODA_ISA=base soda selftest
said=$(SODA_ISA=avx2 soda selftest 2>&1) && { echo "SODA_ISA=avx2: expected a refusal, found: $said" >&2; exit 1; }
grep -qF "SODA_ISA: expected an instruction set of this CPU (base), found 'avx2'" <<<"$said" || {
    echo "SODA_ISA=avx2: expected another message, found: $said" >&2
    exit 1
}
