/* attention in fp32 on any CPU: 4 lanes by the compiler's vector extension, blocks of 8. */
#include "backend/cpu/attention_internal.h"
#include "backend/cpu/vec_portable.h"

#define STEPS attention_f32_portable
#define BLOCK_VECTORS MAX_VECTORS

typedef int32_t bits __attribute__((vector_size(16)));

static inline vec vec_max(vec a, vec b)
{
    const bits greater = a > b;
    return (vec)(((bits)a & greater) | ((bits)b & ~greater));
}

/* 2^x = 2^n 2^f, n nearest to x; 0 from n = -127 down, no overflow guard: x is at most about 0.
 * The polynomial is the minimax fit of 2^f on [-0.5,0.5] in relative error (Remez, degree 5):
 * 7.5e-8. Adding 1.5 2^23 rounds to an integer and leaves it in the low bits. */
static inline vec vec_exp2(vec x)
{
    const vec magic = vec_set(0x1.8p23f);
    x = vec_max(vec_set(-127), x);
    const vec shifted = x + magic, f = x - (shifted - magic);
    vec y = vec_set(0x1.5c08e6p-10f);
    y = vec_fma(y, f, vec_set(0x1.3d0c54p-7f));
    y = vec_fma(y, f, vec_set(0x1.c6b6e4p-5f));
    y = vec_fma(y, f, vec_set(0x1.ebf918p-3f));
    y = vec_fma(y, f, vec_set(0x1.62e428p-1f));
    y = vec_fma(y, f, vec_set(0x1.000002p+0f));
    return y * (vec)(((bits)shifted - (bits)magic + 127) << 23);
}

#include "backend/cpu/attention_simd.h"

const attention_path attention_portable = {.name = "portable",
                                           .level = ISA_BASE,
                                           .steps = &attention_f32_portable,
                                           .forward = ATTENTION_F32_FORWARD,
                                           .gradient = ATTENTION_F32_GRADIENT};
