/* Packing for attention_amx.h, and the way back. */
#if defined(__x86_64__)
#include "backend/cpu/attention_amx.h"

AMX_TARGET void amx_pack_left(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                              uint16_t *dst)
{
    for (int64_t c = 0; c < d; c += 32, dst += TILE_BF16)
        for (int64_t i = 0; i < 16; i++)
            _mm512_storeu_si512(dst + i * 32, i < rows ? amx_load_row(src + i * src_row, c, d)
                                                       : _mm512_setzero_si512());
}

AMX_TARGET void amx_pack_right(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                               uint16_t *dst)
{
    for (int64_t c = 0; c < d; c += 32, dst += TILE_BF16) {
        __m512i r[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
            r[i] = i < rows ? amx_load_row(src + i * src_row, c, d) : _mm512_setzero_si512();
        transpose16(r);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) _mm512_storeu_si512(dst + i * 32, r[i]);
    }
}

AMX_TARGET void amx_pack_left_t(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                                uint16_t *dst)
{
    for (int64_t c = 0; c < d; c += 16, dst += TILE_BF16) {
        __m512i r[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
            r[i] = amx_load_pair(src, src_row, rows, 2 * i, 2 * i + 1, c, d);
        transpose16(r);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) _mm512_storeu_si512(dst + i * 32, r[i]);
    }
}

AMX_TARGET void amx_pack_pairs(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                               uint16_t *dst)
{
    for (int64_t c = 0; c < d; c += 16, dst += TILE_BF16)
        for (int64_t i = 0; i < 16; i++)
            _mm512_storeu_si512(dst + i * 32, amx_load_pair(src, src_row, rows, i, i + 16, c, d));
}

/* To nearest, ties to even; NaN stays NaN. */
AMX_INLINE __m256i round_to_bf16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

AMX_TARGET void amx_store_rows(const float *sums, int64_t step, const float *factor, int64_t rows,
                               int64_t d, uint16_t *dst, int64_t dst_row)
{
    for (int64_t c = 0; c < d; c += 16, sums += step) {
        const __mmask16 some = d - c >= 16 ? 0xffff : (__mmask16)((1u << (d - c)) - 1);
        __m512i r[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(sums + i * 16);
        transpose16(r);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i >= rows) break;
            const __m512 x = _mm512_mul_ps(_mm512_castsi512_ps(r[i]), _mm512_set1_ps(factor[i]));
            _mm256_mask_storeu_epi16(dst + i * dst_row + c, some, round_to_bf16(x));
        }
    }
}

AMX_TARGET void amx_store_tile(const float *sums, float factor, int64_t rows, int64_t columns,
                               uint16_t *dst, int64_t dst_row)
{
    const __mmask16 some = columns >= 16 ? 0xffff : (__mmask16)((1u << columns) - 1);
    for (int64_t i = 0; i < min64(rows, 16); i++) {
        const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(sums + i * 16), _mm512_set1_ps(factor));
        _mm256_mask_storeu_epi16(dst + i * dst_row, some, round_to_bf16(x));
    }
}

AMX_TARGET void amx_transpose_tile(float *sums)
{
    __m512i r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(sums + i * 16);
    transpose16(r);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) _mm512_storeu_si512(sums + i * 16, r[i]);
}
#endif
