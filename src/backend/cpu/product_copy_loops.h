/* product_copy_loops.h: words of fp32 from elements T, body of simd_variants.h. */

/* to[k][n] = from[k][n], zero from `columns` to `width`. */
static void LOOP(product_rows)(const void *from, int64_t from_row, int64_t depth, int64_t columns,
                               float *to, int64_t width)
{
    enum { USUAL = 16 }; /* a panel is a multiple of this but on the plainest CPU */
    const T *x = from;
    for (int64_t k = 0; k < depth; k++, x += from_row, to += width) {
        const int64_t whole = columns / USUAL * USUAL;
        for (int64_t n = 0; n < whole; n += USUAL)
            for (int i = 0; i < USUAL; i++) to[n + i] = LOAD(x[n + i]);
        for (int64_t n = whole; n < columns; n++) to[n] = LOAD(x[n]);
        for (int64_t n = columns; n < width; n++) to[n] = 0;
    }
}

static const struct product_copies LOOP(product_copies) = {LOOP(product_rows)};
