/* vec_avx2.h: 8 floats in a register, with AVX2 and FMA, under the names that the kernels in
 * NAME_simd.h use. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "backend/cpu/transpose8.h"

#define TARGET __attribute__((target("avx2,fma")))
enum { LANES = 8 };
#define MAX_VECTORS 2

typedef __m256 vec;

TARGET static inline vec vec_set(float x) { return _mm256_set1_ps(x); }
TARGET static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
TARGET static inline void vec_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
TARGET static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
TARGET static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
TARGET static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
TARGET static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
TARGET static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
TARGET static inline vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }

TARGET static inline __m256i lanes(int64_t n)
{
    const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

/* Whole vectors go without a mask: a masked store takes many cycles on Zen 2 and 3. */
TARGET static inline vec vec_load_some(const float *p, int64_t n)
{
    return n >= LANES ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, lanes(n));
}

TARGET static inline void vec_store_some(float *p, vec x, int64_t n)
{
    if (n >= LANES)
        _mm256_storeu_ps(p, x);
    else
        _mm256_maskstore_ps(p, lanes(n), x);
}

TARGET static inline void vec_transpose(const float *src, int64_t src_row, float *dst,
                                        int64_t dst_row)
{
    transpose8(src, src_row, dst, dst_row);
}
