/* attention in fp32 with AVX-512: 16 lanes, blocks of 64. */
#if defined(__x86_64__)
#include "backend/cpu/attention_internal.h"
#include "backend/cpu/vec_avx512.h"

#define STEPS attention_f32_avx512
#define BLOCK_VECTORS 4

/* 2^x = 2^floor(x) 2^f. The polynomial is the minimax fit of 2^f on [0,1) in relative error
 * (Remez, degree 5): 7.5e-8. */
TARGET static inline vec vec_exp2(vec x)
{
    const vec f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vec y = vec_set(0x1.ec320ap-10f);
    y = vec_fma(y, f, vec_set(0x1.26900ep-7f));
    y = vec_fma(y, f, vec_set(0x1.c95446p-5f));
    y = vec_fma(y, f, vec_set(0x1.ebd5a8p-3f));
    y = vec_fma(y, f, vec_set(0x1.62e4f6p-1f));
    y = vec_fma(y, f, vec_set(0x1.fffffep-1f));
    return _mm512_scalef_ps(y, x);
}

#include "backend/cpu/attention_simd.h"

const attention_path attention_avx512 = {.name = "avx512",
                                         .level = ISA_AVX512,
                                         .steps = &attention_f32_avx512,
                                         .forward = ATTENTION_F32_FORWARD,
                                         .gradient = ATTENTION_F32_GRADIENT};
#endif
