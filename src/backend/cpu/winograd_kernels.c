#if defined(__x86_64__)
#include "backend/cpu/winograd_kernels.h"

#include <immintrin.h>

#include "backend/cpu/transpose16.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,fma")))
#define INLINE AVX512 inline __attribute__((always_inline))

enum { LANES = 16, MAX_ROWS = 6, MAX_VECTORS = WINO_WIDTH / LANES };

/* The points are 0, +-P, +-Q, infinity. */
static const float P = 0.625f, Q = 1.5f;
static const float PP = 0.390625f, QQ = 2.25f;            /* squares */
static const float PPQQ = 0.87890625f, PP_QQ = 2.640625f; /* product and sum of them */
static const float PPP = 0.244140625f, QQQ = 3.375f;      /* cubes */

static INLINE __m512 c(float x) { return _mm512_set1_ps(x); }
static INLINE __m512 madd(__m512 a, __m512 b, __m512 add) { return _mm512_fmadd_ps(a, b, add); }
static INLINE __m512 msub(__m512 a, __m512 b, __m512 from) { return _mm512_fnmadd_ps(a, b, from); }

static INLINE __mmask16 first(int64_t n) { return (__mmask16)(n >= LANES ? 0xffff : (1 << n) - 1); }

/* v = B' d: row p of B' holds the coefficients of the product of (x - q) over the other finite
 * points q; the last row is the product over all. */
static INLINE void input_1d(const __m512 d[6], __m512 v[6])
{
    const __m512 even_p = msub(c(QQ), d[2], d[4]), odd_p = msub(c(QQ), d[1], d[3]);
    const __m512 even_q = msub(c(PP), d[2], d[4]), odd_q = msub(c(PP), d[1], d[3]);
    v[0] = madd(c(PPQQ), d[0], msub(c(PP_QQ), d[2], d[4]));
    v[1] = madd(c(P), odd_p, even_p);
    v[2] = msub(c(P), odd_p, even_p);
    v[3] = madd(c(Q), odd_q, even_q);
    v[4] = msub(c(Q), odd_q, even_q);
    v[5] = madd(c(PPQQ), d[1], msub(c(PP_QQ), d[3], d[5]));
}

/* u = G g: row p is (1, p, p^2) over the product of (p - q), the last row (0, 0, 1). */
static INLINE void weight_1d(__m512 g0, __m512 g1, __m512 g2, __m512 u[6])
{
    const float n_p = 2 * PP * (PP - QQ), n_q = 2 * QQ * (QQ - PP);
    const __m512 even_p = madd(c(PP / n_p), g2, _mm512_mul_ps(c(1 / n_p), g0));
    const __m512 even_q = madd(c(QQ / n_q), g2, _mm512_mul_ps(c(1 / n_q), g0));
    u[0] = _mm512_mul_ps(c(1 / PPQQ), g0);
    u[1] = madd(c(P / n_p), g1, even_p);
    u[2] = msub(c(P / n_p), g1, even_p);
    u[3] = madd(c(Q / n_q), g1, even_q);
    u[4] = msub(c(Q / n_q), g1, even_q);
    u[5] = g2;
}

/* y = A' m: row i is p^i; infinity only reaches the last. */
static INLINE void output_1d(const __m512 m[6], __m512 y[4])
{
    const __m512 sum_p = _mm512_add_ps(m[1], m[2]), difference_p = _mm512_sub_ps(m[1], m[2]);
    const __m512 sum_q = _mm512_add_ps(m[3], m[4]), difference_q = _mm512_sub_ps(m[3], m[4]);
    y[0] = _mm512_add_ps(m[0], _mm512_add_ps(sum_p, sum_q));
    y[1] = madd(c(P), difference_p, _mm512_mul_ps(c(Q), difference_q));
    y[2] = madd(c(PP), sum_p, _mm512_mul_ps(c(QQ), sum_q));
    y[3] = madd(c(PPP), difference_p, madd(c(QQQ), difference_q, m[5]));
}

AVX512 void winograd_input(const float *const d[WINO_POINTS], uint64_t inside, int64_t depth,
                           float *v, int64_t stride)
{
    for (int64_t k = 0; k < depth; k += LANES) {
        const __mmask16 tail = first(depth - k);
        __m512 column[6][6], in[6], out[6];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++) {
                const int at = 6 * i + j;
                in[i] = _mm512_maskz_loadu_ps(inside >> at & 1 ? tail : 0, d[at] + k);
            }
            input_1d(in, column[j]);
        }
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 6; j++) in[j] = column[j][i];
            input_1d(in, out);
            for (int j = 0; j < 6; j++) _mm512_storeu_ps(v + (6 * i + j) * stride + k, out[j]);
        }
    }
}

/* One vector of kernels, tap t at g[t * stride], to 36 places of u. */
static INLINE void transform_kernels(const float *g, int64_t stride, float *u)
{
    __m512 column[3][6], out[6];
    for (int j = 0; j < 3; j++)
        weight_1d(_mm512_loadu_ps(g + j * stride), _mm512_loadu_ps(g + (j + 3) * stride),
                  _mm512_loadu_ps(g + (j + 6) * stride), column[j]);
    for (int i = 0; i < 6; i++) {
        weight_1d(column[0][i], column[1][i], column[2][i], out);
        for (int j = 0; j < 6; j++) _mm512_storeu_ps(u + (6 * i + j) * WINO_U_STRIDE, out[j]);
    }
}

/* to[j] = column j of the 16x16 matrix at `from`. */
static INLINE void transpose(const float *from, int64_t from_stride, float *to, int64_t to_stride)
{
    __m512i r[LANES];
    for (int i = 0; i < LANES; i++) r[i] = _mm512_loadu_si512(from + i * from_stride);
    transpose16(r);
    for (int i = 0; i < LANES; i++) _mm512_storeu_si512(to + i * to_stride, r[i]);
}

AVX512 void winograd_weights(const float *w, int64_t depth, int64_t width, bool turned, float *u)
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
                transpose(w + (n * 9 + tap) * WINO_DEPTH + k, 9 * WINO_DEPTH, g[0][8 - tap],
                          9 * LANES);
            for (int64_t i = 0; i < LANES && k + i < depth; i++)
                transform_kernels(g[i][0], LANES, u + (k + i) * WINO_WIDTH + n);
        }
    }
}

/* rows x 16 vectors of M: all accumulators stay in registers. */
static INLINE void product_block(int rows, int vectors, const float *v, const float *u, float *m,
                                 int64_t depth, bool add)
{
    __m512 sum[MAX_ROWS][MAX_VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[r][n] = _mm512_setzero_ps();
    for (int64_t k = 0; k < depth; k++) {
        __m512 b[MAX_VECTORS];
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) b[n] = _mm512_loadu_ps(u + k * WINO_WIDTH + n * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const __m512 a = _mm512_set1_ps(v[r * WINO_DEPTH + k]);
#pragma GCC unroll 4
            for (int n = 0; n < vectors; n++) sum[r][n] = _mm512_fmadd_ps(a, b[n], sum[r][n]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) {
            float *to = m + r * WINO_WIDTH + n * LANES;
            if (add) sum[r][n] = _mm512_add_ps(sum[r][n], _mm512_loadu_ps(to));
            _mm512_storeu_ps(to, sum[r][n]);
        }
}

static INLINE void product_rows(int vectors, int64_t rows, const float *v, const float *u, float *m,
                                int64_t depth, bool add)
{
    switch (rows) {
    case 1: product_block(1, vectors, v, u, m, depth, add); break;
    case 2: product_block(2, vectors, v, u, m, depth, add); break;
    case 3: product_block(3, vectors, v, u, m, depth, add); break;
    case 4: product_block(4, vectors, v, u, m, depth, add); break;
    case 5: product_block(5, vectors, v, u, m, depth, add); break;
    default: product_block(6, vectors, v, u, m, depth, add); break;
    }
}

AVX512 void winograd_products(const float *v, int64_t v_stride, const float *u, float *m,
                              int64_t tiles, int64_t depth, int64_t width, bool add,
                              const char *next, int64_t ahead)
{
    const int64_t blocks = (tiles + MAX_ROWS - 1) / MAX_ROWS; /* of nearly equal height */
    const int64_t share = (ahead / WINO_POINTS + 63) / 64 * 64;
    for (int point = 0; point < WINO_POINTS; point++) {
        for (int64_t i = point * share; i < (point + 1) * share && i < ahead; i += 64)
            _mm_prefetch(next + i, _MM_HINT_T1);
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t t = tiles * block / blocks, rows = tiles * (block + 1) / blocks - t;
            const float *a = v + point * v_stride + t * WINO_DEPTH;
            const float *b = u + (int64_t)point * WINO_U_STRIDE;
            float *to = m + (int64_t)point * WINO_M_STRIDE + t * WINO_WIDTH;
            switch ((width + LANES - 1) / LANES) {
            case 1: product_rows(1, rows, a, b, to, depth, add); break;
            case 2: product_rows(2, rows, a, b, to, depth, add); break;
            case 3: product_rows(3, rows, a, b, to, depth, add); break;
            default: product_rows(4, rows, a, b, to, depth, add); break;
            }
        }
    }
}

AVX512 void winograd_output(const float *m, const float *bias, int64_t width, float *y,
                            int64_t row_stride, int64_t pixel_stride, int64_t rows, int64_t columns)
{
    for (int64_t n = 0; n < width; n += LANES) {
        const __mmask16 tail = first(width - n);
        const __m512 b = bias ? _mm512_maskz_loadu_ps(tail, bias + n) : _mm512_setzero_ps();
        __m512 column[6][4], in[6], out[4];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                in[i] = _mm512_loadu_ps(m + (int64_t)(6 * i + j) * WINO_M_STRIDE + n);
            output_1d(in, column[j]);
        }
        for (int64_t i = 0; i < rows; i++) {
            for (int j = 0; j < 6; j++) in[j] = column[j][i];
            output_1d(in, out);
            for (int64_t j = 0; j < columns; j++)
                _mm512_mask_storeu_ps(y + i * row_stride + j * pixel_stride + n, tail,
                                      _mm512_add_ps(out[j], b));
        }
    }
}
#endif
