#include "backend/cpu/product_kernels.h"

#include "backend/cpu/simd.h"

#define SIMD_BODY "backend/cpu/product_loops.h"
#define SIMD_F32_ONLY
#include "backend/cpu/simd_variants.h"
SIMD_SELECT_F32(product_loops)

#if defined(__x86_64__)
#include <immintrin.h>

/* v + a.first b.first + a.second b.second in every lane: one vdpbf16ps. */
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define VEC __m512
#define VEC_AT __m512_u
#define NAME(x) x##_pairs
#define LANES 16
#define VECTORS 4
#define SPREAD(p) _mm512_set1_ps(*(p))
#define MULTIPLY_ADD(a, b, c) _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))
#include "backend/cpu/product_tile.h"

static const product_kernel pairs = {
    .width = VECTORS * LANES, .lanes = LANES, .pairs = true, .block = product_run_block_pairs};
#endif

const product_kernel *product_kernel_best(soda_dtype dtype)
{
#if defined(__x86_64__)
    if (dtype == SODA_BF16 && isa_allows(ISA_AVX512BF16)) return &pairs;
#else
    (void)dtype; /* bf16 is widened when it is packed */
#endif
    return product_loops_now();
}
