/* attention_simd.h: the steps of attention_f32.h on whatever vectors the including file defines.
 *
 * Included once per instruction set, after:
 *   TARGET        the function attribute that allows the instructions
 *   LANES, MAX_VECTORS (6 MAX_VECTORS sums leave registers for b and one element of a),
 *   BLOCK_VECTORS (of a block: 2 or 4), STEPS (the name of the table)
 *   vec           the type, and on it vec_set, vec_load, vec_store (unaligned), vec_add, vec_mul,
 *                 vec_max (the second operand if either is NaN), vec_fma(a, b, c) = a b + c,
 *                 vec_exp2, vec_transpose(src, src_row, dst, dst_row): one LANES x LANES square.
 * No include guard: that is the point. */
#include "backend/cpu/attention_f32.h"
#include "backend/cpu/attention_internal.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

enum { MAX_ROWS = 6, SUMS = MAX_ROWS * MAX_VECTORS };

/* Exponents below this give 0, and MASKED logits times any factor stay finite. */
static const float LOWEST_EXPONENT = -1000;

/* rows x vectors of c: both are constants where this is inlined, so the sums live in registers. */
INLINE void tile(const attention_product *p, int64_t row, int rows, int vectors)
{
    vec sum[MAX_ROWS][BLOCK_VECTORS];
    const float *a = p->a + row * p->a_row, *b = p->b;
    const int64_t a_row = p->a_row, a_column = p->a_column, b_row = p->b_row;
    const attention_onto onto = p->onto; /* read once: a store to c might change *p */
    const float *keep = p->keep;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[i][n] = vec_set(0);
#pragma GCC unroll 4
    for (int64_t k = 0; k < p->depth; k++, a += a_column, b += b_row) {
        vec bk[BLOCK_VECTORS];
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
            if (onto == ONTO_C) x = vec_add(x, vec_load(c));
            if (onto == ONTO_KEPT) x = vec_fma(vec_load(keep + n * LANES), vec_load(c), x);
            vec_store(c, x);
        }
    }
}

/* `count` tiles of `rows` rows. */
INLINE void tiles(const attention_product *p, int64_t row, int64_t count, int64_t rows, int vectors)
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

/* No jump depends on the tile. */
INLINE void product_vectors(const attention_product *p, int vectors)
{
    const attention_tiles t =
        attention_tiles_of(p->m, SUMS / vectors < MAX_ROWS ? SUMS / vectors : MAX_ROWS);
    tiles(p, 0, t.high, t.rows + 1, vectors);
    tiles(p, t.high * (t.rows + 1), t.low, t.rows, vectors);
}

#if BLOCK_VECTORS > MAX_VECTORS
/* Four vectors as two and two. */
TARGET static void product_halves(const attention_product *p)
{
    attention_product half = *p;
    product_vectors(&half, 2);
    half.b += 2 * LANES, half.c += 2 * LANES;
    if (half.keep) half.keep += 2 * LANES;
    product_vectors(&half, 2);
}
#endif

TARGET static void product(const attention_product *p)
{
    switch (p->vectors) {
#if BLOCK_VECTORS > 2
#if BLOCK_VECTORS > MAX_VECTORS
    case 4: product_halves(p); break;
#else
    case 4: product_vectors(p, 4); break;
#endif
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
                                   .max_vectors = BLOCK_VECTORS,
                                   .product = product,
                                   .softmax = softmax,
                                   .probabilities = probabilities,
                                   .transpose = transpose};
