/* product_loops.h: fp32 products, body of simd_variants.h. Every vector is as wide as a register.
 */
typedef float LOOP(product_vec) __attribute__((vector_size(4 * SIMD_WIDTH), aligned(4)));

#define VEC LOOP(product_vec)
#define VEC_AT VEC
#define NAME(x) LOOP(x)
#define TARGET
#define LANES SIMD_WIDTH
#if SIMD_WIDTH == 16 || defined(__aarch64__) /* 32 registers */
#define VECTORS 4
#else
#define VECTORS 2
#endif
#define SPREAD(p) (*(p) - (VEC){0}) /* x - 0 is x, for -0 and NaN too */
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#include "backend/cpu/product_tile.h"

static const product_kernel LOOP(product_loops) = {
    .width = VECTORS * LANES, .lanes = LANES, .block = LOOP(product_run_block)};

#undef VEC
#undef VEC_AT
#undef NAME
#undef TARGET
#undef LANES
#undef VECTORS
#undef SPREAD
#undef MULTIPLY_ADD
