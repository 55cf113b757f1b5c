/* norm.h: the loops that group_norm.c and layer_norm.c share; norm_loops.h has their formulas. */
#pragma once

#include "core/tensor.h"

struct norm_loops {
    void (*moments)(const void *x, const float *pivot, int64_t rows, int64_t C, float *sum,
                    float *square);
    /* [0]: plain, [1]: with silu */
    void (*affine[2])(const void *x, const float *mean, const float *a, const float *beta,
                      int64_t rows, int64_t C, void *y);
    void (*grad_sums[2])(const void *dy, const void *x, const float *mean, const float *a,
                         const float *beta, int64_t rows, int64_t C, float *plain, float *cross,
                         void *kept);
    void (*grad[2])(const void *dy, const void *x, const float *mean, const float *a,
                    const float *beta, const float *plain, const float *cross, int64_t rows,
                    int64_t C, void *dx);
    void (*layer_norm)(const void *x, const float *gamma, const float *beta, float eps,
                       int64_t rows, int64_t C, void *y, float *stats);
    void (*layer_norm_grad)(const void *dy, const void *x, const float *gamma, const float *stats,
                            int64_t rows, int64_t C, void *dx);
};

/* The loops for elements of fp32 or bf16 on this CPU. */
const struct norm_loops *norm_loops_of(soda_dtype dtype);
