/* product_tile.h: product_block on the vectors of one instruction set.
 *
 * Included after VEC (the type), VEC_AT (the same at any address), LANES, VECTORS (of a panel),
 * NAME(x), and on them SPREAD(p) (the word at p in every lane) and MULTIPLY_ADD(a, b, c) = a b + c.
 * No include guard: it is included once per instruction set. */

enum { NAME(product_rows) = 6 }; /* 6 x VECTORS sums leave registers for b and one word of a */

/* rows x vectors of c: both are constants where this is inlined, so the sums stay in registers. */
static inline __attribute__((always_inline)) TARGET void
NAME(product_tile)(const product_block *p, int64_t row, int64_t next_row, int rows, int vectors)
{
    enum { LINE = 16 }; /* words of a cache line */
    VEC sum[NAME(product_rows)][VECTORS];
    const float *a[NAME(product_rows)];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        a[i] = p->a[row + i];
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++) sum[i][n] = (VEC){0};
    }
    for (int64_t k0 = 0; k0 < p->depth; k0 += LINE) {
        const int64_t end = p->depth < k0 + LINE ? p->depth : k0 + LINE;
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) __builtin_prefetch(p->a[next_row + i] + k0);
        const float *b = p->b + k0 * (VECTORS * LANES);
#pragma GCC unroll 4
        for (int64_t k = k0; k < end; k++, b += VECTORS * LANES) {
            VEC right[VECTORS];
#pragma GCC unroll 4
            for (int n = 0; n < vectors; n++) right[n] = *(const VEC_AT *)(b + n * LANES);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                const VEC left = SPREAD(a[i] + k);
#pragma GCC unroll 4
                for (int n = 0; n < vectors; n++)
                    sum[i][n] = MULTIPLY_ADD(left, right[n], sum[i][n]);
            }
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float *c = p->c + (row + i) * p->c_row;
        const float *onto = p->start ? p->start : c;
#pragma GCC unroll 4
        for (int n = 0; n < vectors; n++)
            *(VEC_AT *)(c + n * LANES) = sum[i][n] + *(const VEC_AT *)(onto + n * LANES);
    }
}

static inline __attribute__((always_inline)) TARGET void
NAME(product_tile_rows)(const product_block *p, int64_t row, int64_t next_row, int64_t rows,
                        int vectors)
{
    switch (rows) {
    case 1: NAME(product_tile)(p, row, next_row, 1, vectors); break;
    case 2: NAME(product_tile)(p, row, next_row, 2, vectors); break;
    case 3: NAME(product_tile)(p, row, next_row, 3, vectors); break;
    case 4: NAME(product_tile)(p, row, next_row, 4, vectors); break;
    case 5: NAME(product_tile)(p, row, next_row, 5, vectors); break;
    default: NAME(product_tile)(p, row, next_row, 6, vectors); break;
    }
}

static TARGET void NAME(product_run_block)(const product_block *p)
{
    const int64_t tiles = (p->rows + NAME(product_rows) - 1) / NAME(product_rows);
    const int64_t share = (p->ahead / tiles + 63) / 64 * 64;
    for (int64_t t = 0; t < tiles; t++) { /* of nearly equal height */
        const int64_t row = p->rows * t / tiles, end = p->rows * (t + 1) / tiles;
        /* The tile after this has at most as many rows more as there are: stay inside. */
        const int64_t next = end + NAME(product_rows) <= p->rows ? end : row;
        for (int64_t i = t * share; i < (t + 1) * share && i < p->ahead; i += 64)
            __builtin_prefetch(p->next + i, 0, 2);
        switch ((p->columns + LANES - 1) / LANES) {
        case 1: NAME(product_tile_rows)(p, row, next, end - row, 1); break;
#if VECTORS > 2
        case 2: NAME(product_tile_rows)(p, row, next, end - row, 2); break;
        case 3: NAME(product_tile_rows)(p, row, next, end - row, 3); break;
#endif
        default: NAME(product_tile_rows)(p, row, next, end - row, VECTORS); break;
        }
    }
}
