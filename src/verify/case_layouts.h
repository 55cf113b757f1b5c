/* case_layouts.h: the tensors of operators with many of them, in the order of ops.def. */
#pragma once

#include "verify/case.h"

typedef struct {
    int64_t N, H, W, I, O, kh, kw;
    conv2d_attr attr;
} case_conv2d; /* x [N,H,W,I], w [O,I,kh,kw] */
soda_shape case_conv2d_out(const case_conv2d *z);

/* ids int32, of the shape. */
void case_ids(op_case *c, const int32_t *ids, soda_shape shape);

typedef struct {
    int64_t B, Tq, Tk, heads, width; /* C = heads width */
    bool causal;
    double scale; /* 0: 1/sqrt(width) */
} case_attention;
enum { CASE_ATTENTIONS = 15 };
extern const case_attention case_attentions[CASE_ATTENTIONS]; /* odd ones, in attention_cases.c */

/* q, k, v, then o and lse of type `stats`. And what its gradient reads and writes, once it has run:
 * q, k, v, o, lse, do -> dq, dk, dv. */
void case_attention_forward(op_case *c, const case_attention *z, soda_dtype dtype,
                            soda_dtype stats);
void case_attention_grad(op_case *g, const op_case *c);

/* p, target and weights per image, and with beta > 0 a reference: DCO; then loss and the images'
 * errors. And what the gradient reads and writes, once it has run. */
void case_mse_loss(op_case *c, soda_shape p, soda_dtype dtype, soda_dtype target, float beta);
void case_mse_loss_grad(op_case *g, const op_case *c);
