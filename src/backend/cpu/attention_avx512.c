/* attention in fp32 with AVX-512: 16 lanes, blocks of 64. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "backend/cpu/attention_internal.h"
#include "backend/cpu/transpose16.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,fma")))
#define STEPS attention_f32_avx512
enum { LANES = 16 };
#define MAX_VECTORS 4

typedef __m512 vec;

TARGET static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
TARGET static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
TARGET static inline void vec_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
TARGET static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
TARGET static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
TARGET static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
TARGET static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

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

TARGET static inline void vec_transpose(const float *src, int64_t src_row, float *dst,
                                        int64_t dst_row)
{
    __m512i r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(src + i * src_row);
    transpose16(r);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) _mm512_storeu_si512(dst + i * dst_row, r[i]);
}

#include "backend/cpu/attention_simd.h"

const attention_path attention_avx512 = {.name = "avx512",
                                         .level = ISA_AVX512,
                                         .steps = &attention_f32_avx512,
                                         .forward = ATTENTION_F32_FORWARD,
                                         .gradient = ATTENTION_F32_GRADIENT};
#endif
