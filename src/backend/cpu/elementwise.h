/* elementwise.h: one-line loops that several kernels share. Any pointer to elements may be that of
 * the result, except for lines, which are `padded` floats in fp32: a multiple of the vector width,
 * undefined from n on. The loops work on one thread. */
#pragma once

#include "backend/backend.h"

struct elementwise_loops {
    void (*add)(const void *a, const void *b, void *y, int64_t n);
    void (*scale)(const void *x, float factor, void *y, int64_t n);
    void (*to_f32)(const void *x, float *y, int64_t n);
    void (*from_f32)(const float *x, void *y, int64_t n);
    void (*spread_lines)(const void *x, int64_t lines, int64_t n, int64_t padded, float *y);
    void (*join_lines)(const float *x, int64_t lines, int64_t n, int64_t padded, void *y);
    void (*scale_columns)(const void *x, const float *factor, void *y, int64_t rows, int64_t n);
    void (*add_scaled)(const void *x, const void *h, const float *factor, void *y, int64_t n);
    void (*sum_columns)(const void *x, int64_t rows, int64_t n, float *sum);
    void (*dot_columns)(const void *a, int64_t stride, const void *b, int64_t rows, int64_t n,
                        float *sum);
    void (*sum_window)(const void *x, int64_t lines, int64_t stride, int64_t pixels, int64_t C,
                       void *y);
    double (*dot)(const void *a, const void *b, int64_t n);
    double (*squared_error)(const void *p, const float *target, int64_t n);
    void (*scaled_error)(const void *p, const float *target, float factor, void *y, int64_t n);
};

/* The loops for elements of fp32 or bf16 on this CPU. */
const struct elementwise_loops *elementwise(soda_dtype dtype);

/* A prepare: that of inputs_prepare_plain, with the loops for the type of in[0] as call->path. */
soda_status elementwise_prepare(soda_call *call, soda_weights *weights);

/* y[i] = the sum over `rows` of a[..][i], or of a[..][i] b[..][i] if b is not NULL, for one matrix
 * of `rows` rows of n (beside b, rows of a may go on): fp32 within blocks of rows, fp64 between
 * them, so that the result does not depend on threads. */
typedef struct {
    const struct elementwise_loops *loops; /* for the type of a and b */
    const soda_tensor *a, *b;
    int64_t offset; /* elements before the matrix */
    int64_t rows, n;
} elementwise_sum;

/* `scratch` holds elementwise_sum_scratch(rows, n) bytes. */
size_t elementwise_sum_scratch(int64_t rows, int64_t n);
void elementwise_sum_columns(const elementwise_sum *sum, void *scratch, float *y);
