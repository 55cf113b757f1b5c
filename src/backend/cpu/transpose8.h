/* transpose8.h: a matrix of 8 x 8 floats in AVX registers. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

/* dst[j][i] = src[i][j]; rows lie src_row and dst_row floats apart, at any address. */
static inline __attribute__((always_inline, target("avx"))) void
transpose8(const float *src, int64_t src_row, float *dst, int64_t dst_row)
{
    __m256 r[8], t[8];
    /* Row i in the lower half, row i + 4 in the upper: after this no word crosses a half. */
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const float *from = src + i % 4 * src_row + i / 4 * 4;
        r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)),
                                    _mm_loadu_ps(from + 4 * src_row), 1);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const int at = i / 2 * 4 + i % 2; /* words 0,1 of rows 0,1 and of rows 2,3; or words 2,3 */
        _mm256_storeu_ps(dst + 2 * i * dst_row, _mm256_shuffle_ps(t[at], t[at + 2], 0x44));
        _mm256_storeu_ps(dst + (2 * i + 1) * dst_row, _mm256_shuffle_ps(t[at], t[at + 2], 0xee));
    }
}
