/* attention_f32.h: the steps of fp32 attention that are written once per instruction set.
 *
 * All work on blocks [rows][lanes]: lanes are the fast axis, `vectors` vectors of them. */
#pragma once

#include <stdint.h>

/* c[i][lane] = sum_k a(i,k) b[k][lane], i < m, k < depth, plus what `onto` says.
 * a(i,k) = a[i a_row + k a_column]. */
typedef enum {
    ONTO_NOTHING,
    ONTO_C,    /* plus c[i][lane] */
    ONTO_KEPT, /* plus keep[lane] c[i][lane] */
} attention_onto;

typedef struct {
    int64_t m, depth;
    int vectors; /* 1 .. max_vectors */
    const float *a;
    int64_t a_row, a_column;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    attention_onto onto;
    const float *keep;
} attention_product;

typedef struct {
    int lanes;       /* floats in a vector */
    int max_vectors; /* in one block */
    void (*product)(const attention_product *p);

    /* One key block of the online softmax, in place: s [keys][ld] raw logits -> exp2(c s - c max).
     * max, sum [lanes] go from block to block; keep [lanes] out: what older sums are worth now. */
    void (*softmax)(float *s, int64_t keys, int64_t ld, int vectors, float c, float *max,
                    float *sum, float *keep);

    /* p [rows][ld] in: logits, out: exp2(c p - lse2[row]); dp in: dP, out: p (dp - delta[row]). */
    void (*probabilities)(float *p, float *dp, int64_t rows, int64_t ld, int vectors, float c,
                          const float *lse2, const float *delta);

    /* dst[j][i] = src[i][j], i < rows, j < columns. */
    void (*transpose)(const float *src, int64_t src_row, int64_t rows, int64_t columns, float *dst,
                      int64_t dst_row);
} attention_f32_steps;

extern const attention_f32_steps attention_f32_avx512, attention_f32_avx2, attention_f32_portable;
