/* vec_avx512.h: 16 floats in a register, with AVX-512, under the names that the kernels in
 * NAME_simd.h use. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "backend/cpu/transpose16.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,fma")))
enum { LANES = 16 };
#define MAX_VECTORS 4

typedef __m512 vec;

TARGET static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
TARGET static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
TARGET static inline void vec_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
TARGET static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
TARGET static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
TARGET static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
TARGET static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
TARGET static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
TARGET static inline vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }

TARGET static inline __mmask16 lanes(int64_t n)
{
    return (__mmask16)(n >= LANES ? 0xffff : (1 << n) - 1);
}

TARGET static inline vec vec_load_some(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(lanes(n), p);
}

TARGET static inline void vec_store_some(float *p, vec x, int64_t n)
{
    _mm512_mask_storeu_ps(p, lanes(n), x);
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
