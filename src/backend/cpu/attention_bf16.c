/* attention in bf16 on AVX512-BF16: products, packing, and the path. */
#if defined(__x86_64__)
#include "backend/cpu/attention_bf16.h"

enum { MAX_ROWS = 6 }; /* 6 x 4 sums leave registers for b and one element of a */

/* rows x vectors of c: both are constants where this is inlined, so the sums live in registers. */
BF16_INLINE void tile(const bf16_product *p, int64_t row, int rows, int vectors)
{
    __m512 sum[MAX_ROWS][BF16_VECTORS];
    const uint32_t *a = p->a + row * p->a_row, *b = p->b;
    const int64_t a_row = p->a_row, a_pair = p->a_pair, b_pair = p->b_pair, b_vector = p->b_vector;
    const attention_onto onto = p->onto; /* read once: a store to c might change *p */
    const float *keep = p->keep;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[i][n] = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int64_t k = 0; k < p->pairs; k++, a += a_pair, b += b_pair) {
        __m512i bk[BF16_VECTORS];
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) bk[n] = _mm512_loadu_si512(b + n * b_vector);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const __m512i ai = _mm512_set1_epi32((int)a[i * a_row]);
#pragma GCC unroll 4
            for (int n = 0; n < vectors; n++)
                sum[i][n] = _mm512_dpbf16_ps(sum[i][n], (__m512bh)ai, (__m512bh)bk[n]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float *c = p->c + (row + i) * p->c_row;
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++, c += p->c_vector) {
            __m512 x = sum[i][n];
            if (onto == ONTO_C) x = _mm512_add_ps(x, _mm512_loadu_ps(c));
            if (onto == ONTO_KEPT)
                x = _mm512_fmadd_ps(_mm512_loadu_ps(keep + n * BF16_LANES), _mm512_loadu_ps(c), x);
            _mm512_storeu_ps(c, x);
        }
    }
}

/* `count` tiles of `rows` rows. */
BF16_INLINE void tiles(const bf16_product *p, int64_t row, int64_t count, int64_t rows, int vectors)
{
    for (int64_t t = 0; t < count; t++, row += rows) switch (rows) {
        case 6: tile(p, row, 6, vectors); break;
        case 5: tile(p, row, 5, vectors); break;
        case 4: tile(p, row, 4, vectors); break;
        case 3: tile(p, row, 3, vectors); break;
        case 2: tile(p, row, 2, vectors); break;
        default: tile(p, row, 1, vectors); break;
        }
}

BF16_INLINE void multiply(const bf16_product *p, int vectors)
{
    const attention_tiles t = attention_tiles_of(p->m, MAX_ROWS);
    tiles(p, 0, t.high, t.rows + 1, vectors);
    tiles(p, t.high * (t.rows + 1), t.low, t.rows, vectors);
}

BF16_TARGET void bf16_multiply(const bf16_product *p)
{
    switch (p->vectors) {
    case 4: multiply(p, 4); break;
    case 3: multiply(p, 3); break;
    case 2: multiply(p, 2); break;
    default: multiply(p, 1); break;
    }
}

BF16_TARGET void bf16_pack_rows(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                                uint32_t *dst, int64_t dst_row)
{
    const int64_t words = (d + 1) / 2;
    for (int64_t i = 0; i < rows; i++, src += src_row, dst += dst_row)
        for (int64_t w = 0; w < words; w += 16) {
            const __mmask16 some = words - w >= 16 ? 0xffff : (__mmask16)((1u << (words - w)) - 1);
            _mm512_mask_storeu_epi32(dst + w, some, amx_load_row(src, 2 * w, d));
        }
}

BF16_TARGET void bf16_pack_pairs(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d,
                                 uint32_t *dst, int64_t dst_row)
{
    for (int64_t i = 0; i < rows; i += 2, dst += dst_row)
        for (int64_t c = 0; c < d; c += 16)
            _mm512_storeu_si512(dst + c, amx_load_pair(src, src_row, rows, i, i + 1, c, d));
}

const attention_path attention_bf16 = {
    .name = "avx512-bf16",
    .level = ISA_AVX512BF16,
    .bf16_only = true,
    .steps = &attention_f32_avx512,
    .forward = {bf16_forward_shared, bf16_forward_own, bf16_forward_tasks, bf16_forward_run},
    .gradient = {bf16_gradient_shared, bf16_gradient_own, bf16_gradient_tasks, bf16_gradient_run}};
#endif
