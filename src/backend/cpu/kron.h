/* kron.h: x (R1 x R2 x R3) for blocks of rows, one factor at a time, and the gradients.
 *
 * A row of x is an array [n1,n2,n3]. In the buffers its last axis is padded to p, a multiple of the
 * vector width, so that no loop has a tail:
 *
 *     last axis      [rows n1 n2, n3] R3                      one product
 *     middle axis    R2' [n2, p]         for each row and i1   a batch of products
 *     first axis     R1' [n1, n2 p]      for each row          a batch of products */
#pragma once

#include "core/round.h"
#include "core/tensor.h"

/* C = A B for every batch: C [M,N], A [M,K], B [K,N], N a multiple of the vector width. Element
 * (i,k) of A lies at a[i a_row + k a_k]; rows of B and C are b_k and c_row floats apart, batches
 * a_batch, b_batch and c_batch. */
struct kron_product {
    int64_t batch, M, N, K;
    const float *a, *b;
    float *c;
    int64_t a_batch, a_row, a_k, b_batch, b_k, c_batch, c_row;
};

/* c [n,n] += the sum over batches and k of a[batch,i,k] b[batch,j,k]: a and b are [batch,n,width],
 * batches `stride` floats apart, width a multiple of the vector width. Sums of one call are fp32.
 */
struct kron_dots {
    int64_t batch, n, width, stride;
    const float *a, *b;
    double *c;
};

struct kron_loops {
    int64_t width; /* floats in a vector */
    void (*product)(const struct kron_product *);
    void (*dots)(const struct kron_dots *);
};

/* The loops for this CPU. */
const struct kron_loops *kron_loops_best(void);
