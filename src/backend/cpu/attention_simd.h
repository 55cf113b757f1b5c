/* attention_simd.h: the steps of attention_f32.h on whatever vectors the including file defines.
 *
 * Included once per instruction set, after:
 *   TARGET        the function attribute that allows the instructions
 *   LANES, MAX_VECTORS, STEPS (the name of the table)
 *   vec           the type, and on it vec_set, vec_load, vec_store (unaligned), vec_add, vec_mul,
 *                 vec_max (the second operand if either is NaN), vec_fma(a, b, c) = a b + c,
 *                 vec_exp2, vec_transpose(src, src_row, dst, dst_row): one LANES x LANES square.
 * No include guard: that is the point. */
#include "backend/cpu/attention_f32.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

enum { MAX_ROWS = 6 }; /* 6 x MAX_VECTORS sums leave registers for b and one element of a */

/* Exponents below this give 0, and MASKED logits times any factor stay finite. */
static const float LOWEST_EXPONENT = -1000;

/* rows x vectors of c: both are constants where this is inlined, so the sums live in registers. */
INLINE void tile(const attention_product *p, int64_t row, int rows, int vectors)
{
    vec sum[MAX_ROWS][MAX_VECTORS];
    const float *a = p->a + row * p->a_row, *b = p->b;
    const int64_t a_row = p->a_row, a_column = p->a_column, b_row = p->b_row;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[i][n] = vec_set(0);
    for (int64_t k = 0; k < p->depth; k++, a += a_column, b += b_row) {
        vec bk[MAX_VECTORS];
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) bk[n] = vec_load(b + n * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const vec ai = vec_set(a[i * a_row]);
#pragma GCC unroll 4
            for (int n = 0; n < vectors; n++) sum[i][n] = vec_fma(ai, bk[n], sum[i][n]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float *c = p->c + (row + i) * p->c_row;
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++, c += LANES) {
            vec x = sum[i][n];
            if (p->onto == ONTO_C) x = vec_add(x, vec_load(c));
            if (p->onto == ONTO_KEPT) x = vec_fma(vec_load(p->keep + n * LANES), vec_load(c), x);
            vec_store(c, x);
        }
    }
}

INLINE void tile_rows(const attention_product *p, int64_t row, int rows, int vectors)
{
    switch (rows) {
    case 6: tile(p, row, 6, vectors); break;
    case 5: tile(p, row, 5, vectors); break;
    case 4: tile(p, row, 4, vectors); break;
    case 3: tile(p, row, 3, vectors); break;
    case 2: tile(p, row, 2, vectors); break;
    default: tile(p, row, 1, vectors); break;
    }
}

/* Cuts m into nearly equal tiles: no thin tile at the end, which would wait for its own sums. */
INLINE void product_vectors(const attention_product *p, int vectors)
{
    const int64_t tiles = (p->m + MAX_ROWS - 1) / MAX_ROWS;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t row = t * p->m / tiles, end = (t + 1) * p->m / tiles;
        tile_rows(p, row, (int)(end - row), vectors);
    }
}

TARGET static void product(const attention_product *p)
{
    switch (p->vectors) {
#if MAX_VECTORS > 2
    case 4: product_vectors(p, 4); break;
    case 3: product_vectors(p, 3); break;
#endif
    case 2: product_vectors(p, 2); break;
    default: product_vectors(p, 1); break;
    }
}

TARGET static void softmax(float *s, int64_t keys, int64_t ld, int vectors, float c, float *max,
                           float *sum, float *keep)
{
    const vec factor = vec_set(c), minus = vec_set(-c), lowest = vec_set(LOWEST_EXPONENT);
    for (int n = 0; n < vectors; n++, s += LANES, max += LANES, sum += LANES, keep += LANES) {
        const vec before = vec_load(max);
        vec top0 = before, top1 = before;
        int64_t j = 0;
        for (; j + 2 <= keys; j += 2) {
            top0 = vec_max(top0, vec_load(s + j * ld));
            top1 = vec_max(top1, vec_load(s + (j + 1) * ld));
        }
        if (j < keys) top0 = vec_max(top0, vec_load(s + j * ld));
        const vec top = vec_max(top0, top1), shift = vec_mul(minus, top);
        const vec kept = vec_exp2(vec_max(lowest, vec_fma(before, factor, shift)));
        vec total0 = vec_mul(kept, vec_load(sum)), total1 = vec_set(0);
#pragma GCC unroll 4
        for (j = 0; j < keys; j++) {
            const vec x = vec_fma(vec_load(s + j * ld), factor, shift);
            const vec e = vec_exp2(vec_max(lowest, x));
            vec_store(s + j * ld, e);
            const vec other = total0;
            total0 = vec_add(total1, e);
            total1 = other;
        }
        vec_store(max, top);
        vec_store(sum, vec_add(total0, total1));
        vec_store(keep, kept);
    }
}

TARGET static void probabilities(float *p, float *dp, int64_t rows, int64_t ld, int vectors,
                                 float c, const float *lse2, const float *delta)
{
    const vec factor = vec_set(c), lowest = vec_set(LOWEST_EXPONENT);
    for (int64_t i = 0; i < rows; i++, p += ld, dp += ld) {
        const vec shift = vec_set(-lse2[i]), d = vec_set(-delta[i]);
        for (int n = 0; n < vectors; n++) {
            const vec x = vec_fma(vec_load(p + n * LANES), factor, shift);
            const vec e = vec_exp2(vec_max(lowest, x));
            vec_store(p + n * LANES, e);
            vec_store(dp + n * LANES, vec_mul(e, vec_add(vec_load(dp + n * LANES), d)));
        }
    }
}

TARGET static void transpose(const float *src, int64_t src_row, int64_t rows, int64_t columns,
                             float *dst, int64_t dst_row)
{
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = 0; j < columns; j += LANES) {
            const float *from = src + i * src_row + j;
            float *to = dst + j * dst_row + i;
            if (i + LANES <= rows && j + LANES <= columns) {
                vec_transpose(from, src_row, to, dst_row);
                continue;
            }
            const int64_t m = rows - i < LANES ? rows - i : LANES;
            const int64_t n = columns - j < LANES ? columns - j : LANES;
            for (int64_t y = 0; y < m; y++)
                for (int64_t x = 0; x < n; x++) to[x * dst_row + y] = from[y * src_row + x];
        }
}

const attention_f32_steps STEPS = {.lanes = LANES,
                                   .max_vectors = MAX_VECTORS,
                                   .product = product,
                                   .softmax = softmax,
                                   .probabilities = probabilities,
                                   .transpose = transpose};
