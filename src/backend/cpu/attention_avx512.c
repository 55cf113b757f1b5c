/* attention in fp32 with AVX-512: 16 lanes, blocks of 64. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "backend/cpu/attention_internal.h"

#define TARGET __attribute__((target("avx512f,avx512dq,fma")))
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

/* Pairs, fours, then quarters of registers: 4 rounds of 16 shuffles. */
TARGET static inline void vec_transpose(const float *src, int64_t src_row, float *dst,
                                        int64_t dst_row)
{
    __m512 r[16], t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(src + i * src_row);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            const __m512d a = _mm512_castps_pd(t[i + h]), b = _mm512_castps_pd(t[i + h + 2]);
            r[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
        /* r[4g + c] holds rows 4g .. 4g+3 of columns c, c + 4, c + 8, c + 12, a quarter each. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512 a = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
        const __m512 b = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
        const __m512 d = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);
        const __m512 e = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
        _mm512_storeu_ps(dst + c * dst_row, _mm512_shuffle_f32x4(a, d, 0x88));
        _mm512_storeu_ps(dst + (c + 4) * dst_row, _mm512_shuffle_f32x4(b, e, 0x88));
        _mm512_storeu_ps(dst + (c + 8) * dst_row, _mm512_shuffle_f32x4(a, d, 0xdd));
        _mm512_storeu_ps(dst + (c + 12) * dst_row, _mm512_shuffle_f32x4(b, e, 0xdd));
    }
}

#include "backend/cpu/attention_simd.h"

static bool usable(soda_dtype dtype)
{
    return (dtype == SODA_F32 || dtype == SODA_BF16) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq");
}

const attention_path attention_avx512 = {.name = "avx512",
                                         .usable = usable,
                                         .steps = &attention_f32_avx512,
                                         .forward = ATTENTION_F32_FORWARD,
                                         .gradient = ATTENTION_F32_GRADIENT};
#endif
