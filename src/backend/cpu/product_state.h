/* product_state.h: what product.c, product_prepare.c and product_operand.c share. */
#pragma once

#include "backend/cpu/elementwise.h"
#include "backend/cpu/product.h"
#include "backend/cpu/product_copy.h"
#include "backend/cpu/product_kernels.h"
#include "core/round.h"

/* Words of k in a block: with 64 columns of fp32 it is 80 KiB, and stays in the second level. */
enum { PRODUCT_DEPTH = 320 };

/* How the rows of words come about that the kernel multiplies. */
typedef enum {
    X_DIRECT,  /* they are pixels of x */
    X_CONVERT, /* pixels of x, widened or padded in scratch */
    X_GATHER,  /* the taps of each row of y side by side, in scratch: few channels */
    X_TURN,    /* x transposed, in scratch: the gradient of a weight */
} product_x;

typedef struct {
    conv2d_form f;
    const product_kernel *kernel;
    soda_dtype y_dtype;
    const struct elementwise_loops *loops, *y_loops; /* for f.dtype, and for y_dtype */
    product_copier copier;                           /* of weights and of x */

    product_x x_way;
    bool matrix;            /* row r of y needs row r of words alone */
    int64_t rows;           /* of y */
    int64_t words;          /* in a row of words */
    int64_t x_row;          /* words from row to row of x */
    int64_t taps;           /* summed one after the other */
    int64_t blocks, depth;  /* blocks of words in a row, and words in each but the last */
    bool frozen;            /* weights are panels, else computed */
    const void *w;          /* the panels, during a run */
    int64_t chunk, deep;    /* of the panels: width, and I padded */
    bool panels_lie;        /* the kernel can use panels where they lie */
    bool x_lies;            /* the same of a computed operand, which is one panel */
    int64_t group, columns; /* an item: rows, and panels */
    int threads;

    /* Scratch: words of x, then for each thread what follows, by offset. */
    size_t x_bytes, own_bytes;
    size_t b, start, sums, a, corner;
} product_state;

/* Where the taps of a row begin. */
typedef struct {
    int64_t pixel; /* of x, from the first; may lie outside */
    int32_t row, column;
} product_corner;

static inline int64_t product_panels(const product_state *s)
{
    return ceil_div(s->f.out, s->kernel->width);
}

/* Words of `count` elements of k. */
static inline int64_t product_words(const product_state *s, int64_t count)
{
    return s->kernel->pairs ? ceil_div(count, 2) : count;
}

static inline const void *product_at(const void *base, soda_dtype dtype, int64_t i)
{
    return (const char *)base + i * (int64_t)dtype_bytes(dtype);
}

/* Fills scratch with the words of x. Called by all threads of a team; ends in a barrier. */
void product_make_x(const product_state *s, const void *x, void *words);

/* Where the taps of rows [first,first + count) begin. */
void product_corners(const product_state *s, int64_t first, int64_t count, product_corner *corner);

/* The words of tap `tap` from word `k` on, for each row: a[i]. */
void product_rows(const product_state *s, const float *words, int64_t first, int64_t count,
                  const product_corner *corner, int64_t tap, int64_t k, const float **a);

/* Panel `panel` of tap `tap`, words [k, k + count): where it lies, or made in `own`. `w` are the
 * computed weights. */
const float *product_panel(const product_state *s, const void *w, int64_t panel, int64_t tap,
                           int64_t k, int64_t count, float *own);
