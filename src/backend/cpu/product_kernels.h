/* product_kernels.h: the inner steps of product.h, on one core, once per instruction set.
 *
 * A word is what one lane holds: a float, or a pair of bf16 that follow each other along k. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tensor.h"

/* c[row][n] = start[n] or c[row][n], plus the sum over k of a[row][k] b[k][n].
 *
 * The sum of a block is one chain of fused multiply-adds in the order of k, so the bits do not
 * depend on where rows and columns are cut. */
typedef struct {
    int64_t rows, depth;   /* depth: words of k */
    const float *const *a; /* [rows]: where the words of each row begin */
    const float *b;        /* [depth][width] */
    float *c;              /* [rows][c_row]; `columns` rounded up to whole vectors are written */
    int64_t c_row;
    int columns;        /* 1 .. width */
    const float *start; /* [width], or NULL: c holds the sum so far */
    const char *next;   /* `ahead` bytes that the next block reads: fetched into the caches */
    int64_t ahead;
} product_block;

typedef struct product_loops {
    int width;  /* columns of a panel */
    int lanes;  /* columns of a vector */
    bool pairs; /* words are pairs of bf16 */
    void (*block)(const product_block *p);
} product_kernel;

/* The best kernel of this CPU for activations of type `dtype`, F32 or BF16. */
const product_kernel *product_kernel_best(soda_dtype dtype);
