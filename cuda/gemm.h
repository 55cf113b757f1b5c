/* gemm.h: products of row-major matrices by cuBLASLt, whose only caller this is.
 *
 *     D [m,n] = alpha A B + bias (+ D, if asked)      A [m,k], B [k,n], bias [n], for each of a
 * batch
 *
 * fp32 sums, without TF32; one rounding to D's type. The algorithm is chosen once, when the product
 * is created, among those that add in a fixed order: no atomics, partial sums only in the
 * workspace. So the bits are the same each time on one GPU model and library version. */
#pragma once

#include <stdbool.h>

#include "core/status.h"
#include "core/tensor.h"

typedef struct {
    int64_t m, n, k;
    int64_t pitch_a, pitch_b, pitch_d;     /* elements between rows, as they are stored */
    int64_t batch, step_a, step_b, step_d; /* items, and elements between them; 0 items: one */
    bool turned_a, turned_b;               /* A is stored as [k,m], B as [n,k] */
    bool bias;                             /* of D's type */
    soda_dtype from, to;                   /* of A and B; of D: fp32 or bf16, not bf16 from fp32 */
} gemm_sizes;

typedef struct {
    const void *a, *b, *bias; /* aligned as rows and items are, at least as one element is */
    void *d;
    float alpha;
    bool add;        /* to what D holds */
    void *workspace; /* gemm_workspace bytes, aligned to 256 */
} gemm_operands;

typedef struct gemm gemm;

/* SODA_ERR_UNSUPPORTED, with the sizes, if cuBLASLt has no algorithm for them. */
soda_status gemm_create(const gemm_sizes *sizes, gemm **product);
void gemm_destroy(gemm *product); /* accepts NULL */

size_t gemm_workspace(const gemm *product);

/* Enqueues it on gpu_stream. */
soda_status gemm_run(const gemm *product, const gemm_operands *operands);
