/* attention_bf16.h: attention on vectors that multiply pairs of bf16 (AVX512-BF16, without AMX).
 *
 * An operand is made of words: two bf16 that follow each other along the axis that is summed over.
 * One instruction adds 16 lanes of a pair from the left, the same for all, times pairs from the
 * right. Lanes are queries in the forward pass and keys in the gradient, as in fp32: sums over d
 * have no padding but that of an odd d. */
#pragma once

#include <immintrin.h>

#include "backend/cpu/attention_amx.h"
#include "backend/cpu/attention_f32.h"
#include "backend/cpu/attention_internal.h"

#define BF16_TARGET                                                                                \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma")))
#define BF16_INLINE static inline __attribute__((always_inline)) BF16_TARGET

/* Lanes of a vector, and of the widest block. */
enum { BF16_LANES = 16, BF16_VECTORS = 4, BF16_BLOCK = BF16_LANES * BF16_VECTORS };

/* c[i][n] = sum over k of a(i,k) b[k][n], i < m, k < pairs, n < vectors, plus what `onto` says, as
 * in attention_f32.h. a(i,k) = a[i a_row + k a_pair]; vector n of b[k] lies at
 * b[k b_pair + n b_vector], of c[i] at c[i c_row + n c_vector], of keep at keep[n 16]. */
typedef struct {
    int64_t m, pairs;
    int vectors; /* 1 .. BF16_VECTORS */
    const uint32_t *a;
    int64_t a_row, a_pair;
    const uint32_t *b;
    int64_t b_pair, b_vector;
    float *c;
    int64_t c_row, c_vector;
    attention_onto onto;
    const float *keep;
} bf16_product;

void bf16_multiply(const bf16_product *p);

/* Packing, one head of row-major bf16 [..,width]: src points to the head's first column of the
 * first of `rows` rows, d of its columns count, what is missing becomes zero.
 *
 * rows        dst [rows][dst_row]: pairs of columns, (d + 1) / 2 words per row
 * pairs       dst [(rows + 1) / 2][dst_row]: row 2i beside row 2i + 1, d words, up to a multiple of
 *             16
 *
 * Lanes from rows are amx_pack_right's. */
void bf16_pack_rows(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint32_t *dst,
                    int64_t dst_row);
void bf16_pack_pairs(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint32_t *dst,
                     int64_t dst_row);

/* Room for `count` words, in whole cache lines, behind the `used` bytes of base; with NULL only
 * counts. */
static inline void *bf16_take(char *base, size_t *used, int64_t count)
{
    void *place = base ? base + *used : NULL;
    *used += (size_t)round_up64(count, BF16_LANES) * sizeof(uint32_t);
    return place;
}

/* 2^x, for a result that is rounded to bf16: 2^-9, 26 times its error. */
BF16_INLINE __m512 bf16_exp2(__m512 x) { return amx_scaled_exp2(x, 1); }

/* The forward pass. */
size_t bf16_forward_shared(const attention_job *job);
size_t bf16_forward_own(const attention_job *job);
int64_t bf16_forward_tasks(const attention_job *job, int phase);
void bf16_forward_run(const attention_job *job, int phase, int64_t task);

/* The gradient. */
size_t bf16_gradient_shared(const attention_job *job);
size_t bf16_gradient_own(const attention_job *job);
int64_t bf16_gradient_tasks(const attention_job *job, int phase);
void bf16_gradient_run(const attention_job *job, int phase, int64_t task);
