/* winograd_simd.h: the steps of winograd_steps.h on whatever vectors the including file defines.
 *
 * Included once per instruction set, after:
 *   TARGET        the function attribute that allows the instructions
 *   LANES, MAX_VECTORS (6 MAX_VECTORS sums, as many vectors and one more fit the registers), STEPS
 *                 (the name of the table)
 *   vec           the type, and on it vec_set, vec_load, vec_store (unaligned), vec_add, vec_sub,
 *                 vec_mul, vec_fma(a, b, c) = a b + c, vec_fnma(a, b, c) = c - a b,
 *                 vec_load_some(p, n), vec_store_some(p, x, n): the first n lanes, n >= 0, the rest
 *                 is zero or stays, vec_transpose(src, src_row, dst, dst_row): one LANES x LANES
 *                 square.
 * Lanes do not meet, so all instruction sets with a fused vec_fma give the same bits. No include
 * guard: that is the point. */
#include "backend/cpu/winograd_steps.h"
#include "core/round.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

enum { MAX_ROWS = 6 };

/* The points are 0, +-P, +-Q, infinity. */
static const float P = 0.625f, Q = 1.5f;
static const float PP = 0.390625f, QQ = 2.25f;            /* squares */
static const float PPQQ = 0.87890625f, PP_QQ = 2.640625f; /* product and sum of them */
static const float PPP = 0.244140625f, QQQ = 3.375f;      /* cubes */

/* v = B' d: row p of B' holds the coefficients of the product of (x - q) over the other finite
 * points q; the last row is the product over all. */
INLINE void input_1d(const vec d[6], vec v[6])
{
    const vec even_p = vec_fnma(vec_set(QQ), d[2], d[4]), odd_p = vec_fnma(vec_set(QQ), d[1], d[3]);
    const vec even_q = vec_fnma(vec_set(PP), d[2], d[4]), odd_q = vec_fnma(vec_set(PP), d[1], d[3]);
    v[0] = vec_fma(vec_set(PPQQ), d[0], vec_fnma(vec_set(PP_QQ), d[2], d[4]));
    v[1] = vec_fma(vec_set(P), odd_p, even_p);
    v[2] = vec_fnma(vec_set(P), odd_p, even_p);
    v[3] = vec_fma(vec_set(Q), odd_q, even_q);
    v[4] = vec_fnma(vec_set(Q), odd_q, even_q);
    v[5] = vec_fma(vec_set(PPQQ), d[1], vec_fnma(vec_set(PP_QQ), d[3], d[5]));
}

/* u = G g: row p is (1, p, p^2) over the product of (p - q), the last row (0, 0, 1). */
INLINE void weight_1d(vec g0, vec g1, vec g2, vec u[6])
{
    const float n_p = 2 * PP * (PP - QQ), n_q = 2 * QQ * (QQ - PP);
    const vec even_p = vec_fma(vec_set(PP / n_p), g2, vec_mul(vec_set(1 / n_p), g0));
    const vec even_q = vec_fma(vec_set(QQ / n_q), g2, vec_mul(vec_set(1 / n_q), g0));
    u[0] = vec_mul(vec_set(1 / PPQQ), g0);
    u[1] = vec_fma(vec_set(P / n_p), g1, even_p);
    u[2] = vec_fnma(vec_set(P / n_p), g1, even_p);
    u[3] = vec_fma(vec_set(Q / n_q), g1, even_q);
    u[4] = vec_fnma(vec_set(Q / n_q), g1, even_q);
    u[5] = g2;
}

/* y = A' m: row i is p^i; infinity only reaches the last. */
INLINE void output_1d(const vec m[6], vec y[4])
{
    const vec sum_p = vec_add(m[1], m[2]), difference_p = vec_sub(m[1], m[2]);
    const vec sum_q = vec_add(m[3], m[4]), difference_q = vec_sub(m[3], m[4]);
    y[0] = vec_add(m[0], vec_add(sum_p, sum_q));
    y[1] = vec_fma(vec_set(P), difference_p, vec_mul(vec_set(Q), difference_q));
    y[2] = vec_fma(vec_set(PP), sum_p, vec_mul(vec_set(QQ), sum_q));
    y[3] = vec_fma(vec_set(PPP), difference_p, vec_fma(vec_set(QQQ), difference_q, m[5]));
}

TARGET static void input(const float *const d[WINO_POINTS], uint64_t inside, int64_t depth,
                         float *v, int64_t stride)
{
    for (int64_t k = 0; k < depth; k += LANES) {
        vec column[6][6], in[6], out[6];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++) {
                const int at = 6 * i + j;
                in[i] = vec_load_some(d[at] + k, inside >> at & 1 ? depth - k : 0);
            }
            input_1d(in, column[j]);
        }
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 6; j++) in[j] = column[j][i];
            input_1d(in, out);
            for (int j = 0; j < 6; j++) vec_store(v + (6 * i + j) * stride + k, out[j]);
        }
    }
}

/* One vector of kernels, tap t at g[t * stride], to 36 places of u. */
INLINE void transform_kernels(const float *g, int64_t stride, float *u)
{
    vec column[3][6], out[6];
    for (int j = 0; j < 3; j++)
        weight_1d(vec_load(g + j * stride), vec_load(g + (j + 3) * stride),
                  vec_load(g + (j + 6) * stride), column[j]);
    for (int i = 0; i < 6; i++) {
        weight_1d(column[0][i], column[1][i], column[2][i], out);
        for (int j = 0; j < 6; j++) vec_store(u + (6 * i + j) * WINO_U_STRIDE, out[j]);
    }
}

TARGET static void weights(const float *w, int64_t depth, int64_t width, bool turned, float *u)
{
    if (!turned) {
        for (int64_t k = 0; k < depth; k++)
            for (int64_t n = 0; n < width; n += LANES)
                transform_kernels(w + k * 9 * WINO_WIDTH + n, WINO_WIDTH, u + k * WINO_WIDTH + n);
        return;
    }
    for (int64_t n = 0; n < width; n += LANES) {
        for (int64_t k = 0; k < depth; k += LANES) {
            float g[LANES][9][LANES]; /* [depth][turned tap][width] */
            for (int tap = 0; tap < 9; tap++)
                vec_transpose(w + (n * 9 + tap) * WINO_DEPTH + k, 9 * WINO_DEPTH, g[0][8 - tap],
                              9 * LANES);
            for (int64_t i = 0; i < LANES && k + i < depth; i++)
                transform_kernels(g[i][0], LANES, u + (k + i) * WINO_WIDTH + n);
        }
    }
}

/* rows x vectors of M: all sums stay in registers. */
INLINE void product_block(int rows, int vectors, const float *v, const float *u, float *m,
                          int64_t depth, bool add)
{
    vec sum[MAX_ROWS][MAX_VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[r][n] = vec_set(0);
#pragma GCC unroll 4
    for (int64_t k = 0; k < depth; k++) {
        vec b[MAX_VECTORS];
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) b[n] = vec_load(u + k * WINO_WIDTH + n * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const vec a = vec_set(v[r * WINO_DEPTH + k]);
#pragma GCC unroll 4
            for (int n = 0; n < vectors; n++) sum[r][n] = vec_fma(a, b[n], sum[r][n]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) {
            float *to = m + r * WINO_WIDTH + n * LANES;
            if (add) sum[r][n] = vec_add(sum[r][n], vec_load(to));
            vec_store(to, sum[r][n]);
        }
}

/* `count` blocks of `rows` rows. */
INLINE void product_rows(int vectors, int64_t rows, int64_t count, const float *v, const float *u,
                         float *m, int64_t depth, bool add)
{
    for (int64_t i = 0; i < count; i++, v += rows * WINO_DEPTH, m += rows * WINO_WIDTH)
        switch (rows) {
        case 1: product_block(1, vectors, v, u, m, depth, add); break;
        case 2: product_block(2, vectors, v, u, m, depth, add); break;
        case 3: product_block(3, vectors, v, u, m, depth, add); break;
        case 4: product_block(4, vectors, v, u, m, depth, add); break;
        case 5: product_block(5, vectors, v, u, m, depth, add); break;
        default: product_block(6, vectors, v, u, m, depth, add); break;
        }
}

INLINE void product_columns(int64_t vectors, int64_t rows, int64_t count, const float *v,
                            const float *u, float *m, int64_t depth, bool add)
{
    switch (vectors) {
    case 1: product_rows(1, rows, count, v, u, m, depth, add); break;
#if MAX_VECTORS > 2
    case 2: product_rows(2, rows, count, v, u, m, depth, add); break;
    case 3: product_rows(3, rows, count, v, u, m, depth, add); break;
#endif
    default: product_rows(MAX_VECTORS, rows, count, v, u, m, depth, add); break;
    }
}

/* Blocks of nearly equal height, the higher ones first: all of a height in one loop. */
TARGET static void products(const float *v, int64_t v_stride, const float *u, float *m,
                            int64_t tiles, int64_t depth, int64_t width, bool add, const char *next,
                            int64_t ahead)
{
    const int64_t blocks = (tiles + MAX_ROWS - 1) / MAX_ROWS, low = tiles / blocks;
    const int64_t high = tiles - low * blocks; /* blocks with one row more */
    const int64_t share = (ahead / WINO_POINTS + 63) / 64 * 64;
    for (int point = 0; point < WINO_POINTS; point++, v += v_stride, u += WINO_U_STRIDE) {
        for (int64_t i = point * share; i < (point + 1) * share && i < ahead; i += 64)
            __builtin_prefetch(next + i, 0, 2);
        float *to = m + (int64_t)point * WINO_M_STRIDE;
        for (int part = 0; part < 2; part++) {
            const int64_t first = part ? high * (low + 1) : 0;
            for (int64_t n = 0; n < width; n += MAX_VECTORS * LANES)
                product_columns((width - n + LANES - 1) / LANES, part ? low : low + 1,
                                part ? blocks - high : high, v + first * WINO_DEPTH, u + n,
                                to + first * WINO_WIDTH + n, depth, add);
        }
    }
}

TARGET static void output(const float *m, const float *bias, int64_t width, float *y,
                          int64_t row_stride, int64_t pixel_stride, int64_t rows, int64_t columns)
{
    for (int64_t n = 0; n < width; n += LANES) {
        const vec b = bias ? vec_load_some(bias + n, width - n) : vec_set(0);
        vec column[6][4], in[6], out[4];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                in[i] = vec_load(m + (int64_t)(6 * i + j) * WINO_M_STRIDE + n);
            output_1d(in, column[j]);
        }
        for (int64_t i = 0; i < rows; i++) {
            for (int j = 0; j < 6; j++) in[j] = column[j][i];
            output_1d(in, out);
            for (int64_t j = 0; j < columns; j++)
                vec_store_some(y + i * row_stride + j * pixel_stride + n, vec_add(out[j], b),
                               width - n);
        }
    }
}

const winograd_steps STEPS = {input, weights, products, output};
