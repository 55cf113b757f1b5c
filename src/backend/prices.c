#include "backend/prices.h"

/* Measured with the cpu backend, one thread, AVX-512 and AMX: GEMM 205 GFLOP/s in fp32 and 1300 in
 * bf16, rotations 50, passes 20 to 25 GB/s. tests/adapter/test_route.c has the layers that were
 * timed. */
const price_table *prices_host(void)
{
    static const price_table host = {.f32 = {.rotate = 4, .byte = 10, .wide_gemm = 1},
                                     .bf16 = {.rotate = 26, .byte = 52, .wide_gemm = 6.5}};
    return &host;
}
