/* kron_loops.h: small matrix products for kron_rotate.c, fp32 only. Formulas are in kron.h.
 *
 * A tile of the result stays in registers: M rows of V vectors. M and V are constants after
 * inlining, so every loop over them unrolls. */

typedef float LOOP(vec) __attribute__((vector_size(4 * SIMD_WIDTH), aligned(4), may_alias));

#if SIMD_WIDTH == 16
#define TILE_M 8 /* 24 sums and 3 vectors of b in 32 registers */
#define TILE_V 3
#define TILE_DOT 4
#elif SIMD_WIDTH == 8
#define TILE_M 4 /* 12 sums and 3 vectors of b in 16 registers */
#define TILE_V 3
#define TILE_DOT 3
#else
#define TILE_M 4 /* products need registers of their own here */
#define TILE_V 2
#define TILE_DOT 3
#endif

/* A group of tiles: `rows` x `columns` tiles of M x V vectors, the first at row i, column j. */
SIMD_INLINE void LOOP(tiles)(const int M, const int V, const struct kron_product *p, int64_t i0,
                             int64_t rows, int64_t j0, int64_t columns)
{
    typedef LOOP(vec) vec;
    for (int64_t batch = 0; batch < p->batch; batch++) {
        for (int64_t column = 0; column < columns; column++) {
            const int64_t j = j0 + column * V * SIMD_WIDTH;
            const float *const b0 = p->b + batch * p->b_batch + j;
            for (int64_t row = 0; row < rows; row++) {
                const int64_t i = i0 + row * M;
                const float *a = p->a + batch * p->a_batch + i * p->a_row, *b = b0;
                vec sum[TILE_M][TILE_V];
                SIMD_UNROLL
                for (int t = 0; t < M * V; t++) sum[t / V][t % V] = (vec){0};
                for (int64_t k = 0; k < p->K; k++, a += p->a_k, b += p->b_k) {
                    vec right[TILE_V];
                    SIMD_UNROLL
                    for (int v = 0; v < V; v++) right[v] = *(const vec *)(b + v * SIMD_WIDTH);
                    SIMD_UNROLL
                    for (int t = 0; t < M * V; t++)
                        sum[t / V][t % V] += a[t / V * p->a_row] * right[t % V];
                }
                float *c = p->c + batch * p->c_batch + i * p->c_row + j;
                SIMD_UNROLL
                for (int t = 0; t < M * V; t++)
                    *(vec *)(c + t / V * p->c_row + t % V * SIMD_WIDTH) = sum[t / V][t % V];
            }
        }
    }
}

/* tiles with V a constant: one function each, so that M is chosen once per group. */
SIMD_INLINE void LOOP(tiles_by_height)(int M, const int V, const struct kron_product *p, int64_t i0,
                                       int64_t rows, int64_t j0, int64_t columns)
{
    switch (M) {
    case 1: LOOP(tiles)(1, V, p, i0, rows, j0, columns); break;
    case 2: LOOP(tiles)(2, V, p, i0, rows, j0, columns); break;
    case 3: LOOP(tiles)(3, V, p, i0, rows, j0, columns); break;
    case 4: LOOP(tiles)(4, V, p, i0, rows, j0, columns); break;
#if TILE_M == 8
    case 5: LOOP(tiles)(5, V, p, i0, rows, j0, columns); break;
    case 6: LOOP(tiles)(6, V, p, i0, rows, j0, columns); break;
    case 7: LOOP(tiles)(7, V, p, i0, rows, j0, columns); break;
    case 8: LOOP(tiles)(8, V, p, i0, rows, j0, columns); break;
#endif
    default: break;
    }
}

static void LOOP(tiles_1)(int M, const struct kron_product *p, int64_t i0, int64_t rows, int64_t j0,
                          int64_t columns)
{
    LOOP(tiles_by_height)(M, 1, p, i0, rows, j0, columns);
}

static void LOOP(tiles_2)(int M, const struct kron_product *p, int64_t i0, int64_t rows, int64_t j0,
                          int64_t columns)
{
    LOOP(tiles_by_height)(M, 2, p, i0, rows, j0, columns);
}

#if TILE_V == 3
static void LOOP(tiles_3)(int M, const struct kron_product *p, int64_t i0, int64_t rows, int64_t j0,
                          int64_t columns)
{
    LOOP(tiles_by_height)(M, 3, p, i0, rows, j0, columns);
}
#endif

/* `columns` tiles of V vectors from column j0 on, all rows: tiles as equal as they can be. */
static void LOOP(strip)(const struct kron_product *p, int64_t V, int64_t j0, int64_t columns)
{
    static void (*const tiles[])(int, const struct kron_product *, int64_t, int64_t, int64_t,
                                 int64_t) = {
        LOOP(tiles_1),
        LOOP(tiles_2),
#if TILE_V == 3
        LOOP(tiles_3),
#endif
    };
    const int64_t parts = ceil_div(p->M, TILE_M), M = ceil_div(p->M, parts);
    const int64_t rows = p->M / M, rest = p->M % M;
    tiles[V - 1]((int)M, p, 0, rows, j0, columns);
    if (rest) tiles[V - 1]((int)rest, p, rows * M, 1, j0, columns);
}

static void LOOP(product)(const struct kron_product *p)
{
    const int64_t vectors = p->N / SIMD_WIDTH;
    const int64_t parts = ceil_div(vectors, TILE_V), V = ceil_div(vectors, parts);
    const int64_t columns = vectors / V, rest = vectors % V;
    LOOP(strip)(p, V, 0, columns);
    if (rest) LOOP(strip)(p, rest, columns * V * SIMD_WIDTH, 1);
}

/* The sum of the lanes, always in the same order. */
SIMD_INLINE double LOOP(lanes)(const float *lane)
{
    double sum = 0;
    for (int i = 0; i < SIMD_WIDTH; i++) sum += (double)lane[i];
    return sum;
}

/* One tile of I x J sums of products, each over all batches and vectors. */
SIMD_INLINE void LOOP(dot_tile)(const int I, const int J, const struct kron_dots *d, int64_t i0,
                                int64_t j0)
{
    typedef LOOP(vec) vec;
    vec sum[TILE_DOT][TILE_DOT];
    SIMD_UNROLL
    for (int t = 0; t < I * J; t++) sum[t / J][t % J] = (vec){0};
    for (int64_t batch = 0; batch < d->batch; batch++) {
        const float *a = d->a + batch * d->stride + i0 * d->width;
        const float *b = d->b + batch * d->stride + j0 * d->width;
        for (int64_t at = 0; at < d->width; at += SIMD_WIDTH) {
            vec left[TILE_DOT], right[TILE_DOT];
            SIMD_UNROLL
            for (int i = 0; i < I; i++) left[i] = *(const vec *)(a + i * d->width + at);
            SIMD_UNROLL
            for (int j = 0; j < J; j++) right[j] = *(const vec *)(b + j * d->width + at);
            SIMD_UNROLL
            for (int t = 0; t < I * J; t++) sum[t / J][t % J] += left[t / J] * right[t % J];
        }
    }
    SIMD_UNROLL
    for (int t = 0; t < I * J; t++) {
        float lane[SIMD_WIDTH];
        *(vec *)lane = sum[t / J][t % J];
        d->c[(i0 + t / J) * d->n + j0 + t % J] += LOOP(lanes)(lane);
    }
}

static void LOOP(dots)(const struct kron_dots *d)
{
    for (int64_t i = 0; i < d->n; i += TILE_DOT)
        for (int64_t j = 0; j < d->n; j += TILE_DOT) {
            const bool tall = i + TILE_DOT <= d->n, wide = j + TILE_DOT <= d->n;
            if (tall && wide) {
                LOOP(dot_tile)(TILE_DOT, TILE_DOT, d, i, j);
                continue;
            }
            const int64_t i1 = tall ? i + TILE_DOT : d->n, j1 = wide ? j + TILE_DOT : d->n;
            for (int64_t k = i; k < i1; k++)
                for (int64_t l = j; l < j1; l++) LOOP(dot_tile)(1, 1, d, k, l);
        }
}

static const struct kron_loops LOOP(kron_loops) = {
    .width = SIMD_WIDTH, .product = LOOP(product), .dots = LOOP(dots)};

#undef TILE_M
#undef TILE_V
#undef TILE_DOT
