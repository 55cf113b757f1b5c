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

/* `tiles` tiles of `rows` rows from `row` on. Of the rows at `ahead`, as many bytes as these tiles
 * are worth are fetched meanwhile. */
static inline __attribute__((always_inline)) TARGET void
NAME(product_tiles)(const product_block *p, int64_t row, int64_t tiles, int64_t rows, int vectors,
                    int64_t share)
{
    const char *next = p->next + row / rows * share, *end = p->next + p->ahead;
    for (int64_t t = 0; t < tiles; t++, row += rows) {
        /* The tile after this has at most as many rows: stay inside. */
        const int64_t then = row + 2 * rows <= p->rows ? row + rows : row;
        for (int64_t i = 0; i < share && next < end; i += 64, next += 64)
            __builtin_prefetch(next, 0, 2);
        switch (rows) {
        case 1: NAME(product_tile)(p, row, then, 1, vectors); break;
        case 2: NAME(product_tile)(p, row, then, 2, vectors); break;
        case 3: NAME(product_tile)(p, row, then, 3, vectors); break;
        case 4: NAME(product_tile)(p, row, then, 4, vectors); break;
        case 5: NAME(product_tile)(p, row, then, 5, vectors); break;
        default: NAME(product_tile)(p, row, then, 6, vectors); break;
        }
    }
}

/* Tiles of nearly equal height, the higher ones first. */
static TARGET void NAME(product_run_block)(const product_block *p)
{
    const int64_t tiles = (p->rows + NAME(product_rows) - 1) / NAME(product_rows);
    const int64_t low = p->rows / tiles, high = p->rows - low * tiles; /* those with a row more */
    const int64_t share = (p->ahead / tiles + 63) / 64 * 64;
    for (int part = 0; part < 2; part++) {
        const int64_t rows = part ? low : low + 1, row = part ? high * (low + 1) : 0;
        const int64_t count = part ? tiles - high : high;
        switch ((p->columns + LANES - 1) / LANES) {
        case 1: NAME(product_tiles)(p, row, count, rows, 1, share); break;
#if VECTORS > 2
        case 2: NAME(product_tiles)(p, row, count, rows, 2, share); break;
        case 3: NAME(product_tiles)(p, row, count, rows, 3, share); break;
#endif
        default: NAME(product_tiles)(p, row, count, rows, VECTORS, share); break;
        }
    }
}
