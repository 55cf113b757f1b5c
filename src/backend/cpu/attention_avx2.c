/* attention in fp32 with AVX2 and FMA: 8 lanes, blocks of 32. */
#if defined(__x86_64__)
#include "backend/cpu/attention_internal.h"
#include "backend/cpu/vec_avx2.h"

#define STEPS attention_f32_avx2
#define BLOCK_VECTORS 4

/* 2^x = 2^n 2^f, n nearest to x; 0 from n = -127 down, no overflow guard: x is at most about 0.
 * The polynomial is the minimax fit of 2^f on [-0.5,0.5] in relative error (Remez, degree 5):
 * 7.5e-8. Adding 1.5 2^23 + 127 rounds to an integer and leaves it in the low bits. */
TARGET static inline vec vec_exp2(vec x)
{
    const vec magic = vec_set(0x1.8p23f + 127);
    x = _mm256_max_ps(vec_set(-127), x);
    const vec shifted = _mm256_add_ps(x, magic);
    const vec f = _mm256_sub_ps(x, _mm256_sub_ps(shifted, magic));
    vec y = vec_set(0x1.5c08e6p-10f);
    y = vec_fma(y, f, vec_set(0x1.3d0c54p-7f));
    y = vec_fma(y, f, vec_set(0x1.c6b6e4p-5f));
    y = vec_fma(y, f, vec_set(0x1.ebf918p-3f));
    y = vec_fma(y, f, vec_set(0x1.62e428p-1f));
    y = vec_fma(y, f, vec_set(0x1.000002p+0f));
    return vec_mul(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
}

#include "backend/cpu/attention_simd.h"

const attention_path attention_avx2 = {.name = "avx2",
                                       .level = ISA_AVX2,
                                       .steps = &attention_f32_avx2,
                                       .forward = ATTENTION_F32_FORWARD,
                                       .gradient = ATTENTION_F32_GRADIENT};
#endif
