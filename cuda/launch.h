/* launch.h: the kernels of the .cu files as C functions. Each enqueues its work on `stream` and
 * returns the error of the launch. Pointers are the device's; tensors are packed, rows last. One
 * section per file, in alphabetical order. `bf16`: activations are bf16, else fp32; what is said to
 * be fp32 is so in both cases. */
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/update_found.h"
#include "optim/adamw.h"   /* adamw_rule */
#include "optim/stiefel.h" /* stiefel_rule */

#ifdef __cplusplus
extern "C" {
#endif

/* activation.cu: kind is soda_activation: silu, gelu (erf), quick_gelu, relu. x and y may be the
 * same. geglu: x [rows,2C], y and dy [rows,C]. */
cudaError_t launch_activation(bool bf16, int kind, const void *x, void *y, int64_t n,
                              cudaStream_t stream);
cudaError_t launch_activation_grad(bool bf16, int kind, const void *dy, const void *x, void *dx,
                                   int64_t n, cudaStream_t stream);
cudaError_t launch_geglu(bool bf16, const void *x, void *y, int64_t rows, int C,
                         cudaStream_t stream);
cudaError_t launch_geglu_grad(bool bf16, const void *dy, const void *x, void *dx, int64_t rows,
                              int C, cudaStream_t stream);

/* attention_forward.cu, attention_grad.cu: bf16, attention_f32.cu: fp32, heads of at most
 * ATTENTION_FLASH_WIDTH columns. q, o [B,Tq,C], k, v [B,Tk,C], C = heads width; lse, delta fp32
 * [B,heads,Tq]; delta is written and read. */
enum { ATTENTION_FLASH_WIDTH = 160 };

typedef struct {
    int B, Tq, Tk, heads, width;
    bool causal;
    float scale;
} attention_sizes;

typedef struct {
    const void *q, *k, *v, *o, *dout;
    const float *lse;
    float *delta;
    void *dq, *dk, *dv;
} attention_grad_tensors;

cudaError_t launch_attention(const attention_sizes *z, const void *q, const void *k, const void *v,
                             void *o, float *lse, cudaStream_t stream);
cudaError_t launch_attention_grad(const attention_sizes *z, const attention_grad_tensors *t,
                                  cudaStream_t stream);
cudaError_t launch_attention_f32(const attention_sizes *z, const void *q, const void *k,
                                 const void *v, void *o, float *lse, cudaStream_t stream);
cudaError_t launch_attention_grad_f32(const attention_sizes *z, const attention_grad_tensors *t,
                                      cudaStream_t stream);

/* attention_rows.cu: queries first .. first + rows of one image. Logits s and dp fp32, p and ds of
 * the activations' type, all [heads, rows, ld] with Tk columns in use; lse fp32 [heads,Tq]; o, dout
 * [Tq, heads width] of the image. p may not lie over s. */
typedef struct {
    int Tq, Tk, heads, width, first, rows, ld;
    bool causal;
} attention_piece;

typedef struct {
    const float *s, *dp, *lse;
    const void *o, *dout;
    void *p, *ds;
} attention_rows_tensors;

cudaError_t launch_attention_softmax(const attention_piece *z, bool bf16, const float *s, void *p,
                                     float *lse, cudaStream_t stream);
cudaError_t launch_attention_softmax_grad(const attention_piece *z, bool bf16,
                                          const attention_rows_tensors *t, cudaStream_t stream);

/* y [n] bf16 = x [n] fp32, rounded. */
cudaError_t launch_attention_round(const float *x, void *y, int64_t n, cudaStream_t stream);

/* columns.cu: sums over rows. */
enum { COLUMNS_CHUNK = 128 }; /* rows of which a block makes one partial sum per column */

/* sums [images,C] of x [images,rows,C] over the rows. partial: fp32 [images,chunks,C], chunks being
 * rows / COLUMNS_CHUNK, rounded up */
typedef struct {
    const void *x;
    void *sums;
    float *partial;
    int64_t images, rows;
    int C;
} columns_sum;
cudaError_t launch_sum_rows(bool bf16, const columns_sum *sum, cudaStream_t stream);

/* dx = dy diag(factor), ddelta_c = sum over rows of dy x, on the first k columns of dy [rows,m]; x
 * and dx [rows,k]; factor is relu(s + delta), and ddelta is 0 where it is closed, or delta if s is
 * NULL. s, delta, ddelta fp32 [k]; partial: fp32 [chunks,k] */
typedef struct {
    const void *dy, *x;
    const float *s, *delta;
    void *dx;
    float *ddelta, *partial;
    int64_t rows;
    int m, k;
} columns_scale_grad;
cudaError_t launch_columns_scale_grad(bool bf16, const columns_scale_grad *grad,
                                      cudaStream_t stream);

/* conv2d.cu, conv2d_f32.cu: x [N,H,W,I], y [N,P,Q,O]; bias [O] or NULL. Output (p,q) meets x at (p
 * stride + r - top, q stride + s - left) / spread, where that is a whole pixel of x. launch_conv2d:
 * bf16, I a multiple of 8, w [O, kh kw I] with column (r kw + s) I + i; fewer tiles of 128 x 128
 * than CONV2D_FEW_TILES: tiles of 64 x 64. launch_conv2d_gather writes rows first .. first + rows
 * of the matrix that w' is multiplied with, bf16, `pitch` elements apart, zeros behind column kh kw
 * I. launch_conv2d_f32: w [kh kw I, conv2d_f32_pitch(O)], the transpose, aligned to 16 bytes, with
 * zeros behind column O; parts: room for conv2d_f32_parts times y, if that is more than 1. */
enum { CONV2D_FEW_TILES = 108 }; /* multiprocessors of an A100 */

typedef struct {
    int64_t N;
    int H, W, I, P, Q, O, kh, kw;
    int stride, spread, top, left;
} conv2d_sizes;

cudaError_t launch_conv2d(const conv2d_sizes *z, const void *x, const void *w, const void *bias,
                          void *y, cudaStream_t stream);
cudaError_t launch_conv2d_gather(const conv2d_sizes *z, const void *x, int64_t first, int64_t rows,
                                 int pitch, void *to, cudaStream_t stream);
static inline int64_t conv2d_f32_pitch(int64_t columns) { return (columns + 3) / 4 * 4; }
int conv2d_f32_parts(const conv2d_sizes *z);
cudaError_t launch_conv2d_f32(const conv2d_sizes *z, const float *x, const float *w,
                              const float *bias, float *parts, float *y, cudaStream_t stream);

/* copy.cu: elements of 2 bytes (`half`) or 4. */
cudaError_t launch_concat(bool half, const void *a, int C, const void *b, int D, void *y,
                          int64_t rows, cudaStream_t stream);
/* y [rows,length] = x [rows,C] from column `start` on */
typedef struct {
    const void *x;
    void *y;
    int64_t rows;
    int C, start, length;
} copy_slice;
cudaError_t launch_slice(bool half, const copy_slice *slice, cudaStream_t stream);

/* small [N,h,w,C] and large [N,H,W,C]: large is written, or its sums over copies of a pixel. */
typedef struct {
    const void *from;
    void *to;
    int64_t N;
    int h, w, H, W, C;
} copy_upsample;
cudaError_t launch_upsample(bool half, const copy_upsample *u, cudaStream_t stream);
cudaError_t launch_upsample_grad(bool bf16, const copy_upsample *u, cudaStream_t stream);

/* elementwise.cu: a, x and y may be the same. */
cudaError_t launch_add(bool bf16, const void *a, const void *b, void *y, int64_t n,
                       cudaStream_t stream);
/* y = a + b: a, y [images,rows,C], b [images,C] */
typedef struct {
    const void *a, *b;
    void *y;
    int64_t images, rows;
    int C;
} add_rows;
cudaError_t launch_add_rows(bool bf16, const add_rows *add, cudaStream_t stream);
cudaError_t launch_scale(bool bf16, const void *x, float factor, void *y, int64_t n,
                         cudaStream_t stream);
/* fp32 to bf16 if `narrow`, else bf16 to fp32 */
cudaError_t launch_cast(bool narrow, const void *x, void *y, int64_t n, cudaStream_t stream);

/* embedding.cu: rows of table [V,C] of the result's type; NaN where an id is outside the table. */
typedef struct {
    const int *ids;
    const void *from; /* table, or dy [count,C] */
    void *to;         /* y [count,C], or dtable */
    int64_t count, V;
    int C;
} embedding_rows;
cudaError_t launch_embedding(bool bf16, const embedding_rows *rows, cudaStream_t stream);
cudaError_t launch_embedding_grad(bool bf16, const embedding_rows *rows, cudaStream_t stream);
/* t fp32 [M], y fp32 [M,width]; see ref/embedding.c */
cudaError_t launch_timestep_embedding(const float *t, float *y, int64_t M, int width,
                                      bool cos_first, float shift, cudaStream_t stream);

/* group_norm.cu: x, y, dy, dx [N,rows,C]; gamma, beta fp32 [C]; stats fp32 [N,groups,2]. */
typedef struct {
    const void *x, *dy; /* dy: of the gradient */
    const float *gamma, *beta;
    void *y;        /* of the gradient: dx */
    float *stats;   /* of the gradient: read */
    float *partial; /* scratch: group_norm_scratch */
    int64_t N, rows;
    int C, groups;
    float eps;
    bool silu;
} group_norm_tensors;
/* From the sizes alone. */
size_t group_norm_scratch(bool bf16, bool grad, const group_norm_tensors *u);
cudaError_t launch_group_norm(bool bf16, const group_norm_tensors *u, cudaStream_t stream);
cudaError_t launch_group_norm_grad(bool bf16, const group_norm_tensors *u, cudaStream_t stream);

/* kron_rotate.cu: y [rows,n1 n2 n3] = x (R1 x R2 x R3), or with transposed factors; factors and
 * their gradients are fp32 [n,n]. */
enum { KRON_MOST_SIDE = 64 }; /* of a factor */
typedef struct {
    const void *x, *dz; /* dz: of the gradient */
    const float *R[3];
    void *y;        /* of the gradient: dx */
    float *dR[3];   /* of the gradient */
    float *partial; /* of the gradient, scratch: kron_rotate_scratch */
    int64_t rows;
    int n[3];
    bool transposed;
} kron_tensors;
/* From the sizes alone: shared memory of a block, scratch of the gradient. */
size_t kron_rotate_shared(const kron_tensors *u, bool grad);
size_t kron_rotate_scratch(const kron_tensors *u);
cudaError_t launch_kron_rotate(bool bf16, const kron_tensors *u, cudaStream_t stream);
cudaError_t launch_kron_rotate_grad(bool bf16, const kron_tensors *u, cudaStream_t stream);

/* layer_norm.cu: x, y, dy, dx [rows,C]; gamma, beta fp32 [C]; stats fp32 [rows,2] */
typedef struct {
    const void *x, *dy; /* dy: of the gradient */
    const float *gamma, *beta;
    void *y;      /* of the gradient: dx */
    float *stats; /* of the gradient: read */
    int64_t rows;
    int C;
    float eps;
} layer_norm_tensors;
cudaError_t launch_layer_norm(bool bf16, const layer_norm_tensors *u, cudaStream_t stream);
cudaError_t launch_layer_norm_grad(bool bf16, const layer_norm_tensors *u, cudaStream_t stream);

/* mse_loss.cu: see ref/loss.c. p [images,n] and dp, the others fp32; reference may be NULL. */
enum { MSE_CHUNK = 4096 }; /* elements of one image that a block takes */
typedef struct {
    const void *p;
    const float *target, *weight, *reference;
    float *image, *loss; /* [images], [1]; of the gradient: image is read */
    void *dp;            /* of the gradient */
    double *partial;     /* scratch: [images,chunks of one], not of the gradient */
    int64_t images, n;
    float beta;
} mse_loss_tensors;
cudaError_t launch_mse_loss(bool bf16, const mse_loss_tensors *u, cudaStream_t stream);
cudaError_t launch_mse_loss_grad(bool bf16, const mse_loss_tensors *u, cudaStream_t stream);

/* spectral.cu: y [rows,k] = x relu(s + delta), column by column; s, delta fp32 [k] */
typedef struct {
    const void *x;
    const float *s, *delta;
    void *y;
    int64_t rows;
    int k;
} spectral_columns;
cudaError_t launch_spectral_scale(bool bf16, const spectral_columns *u, cudaStream_t stream);

/* y [rows,m] = x + h diag(delta) on the k columns of h [rows,k]; x and y may be the same. */
typedef struct {
    const void *x, *h;
    const float *delta;
    void *y;
    int64_t rows;
    int m, k;
} spectral_shift;
cudaError_t launch_column_scale_add(bool bf16, const spectral_shift *u, cudaStream_t stream);

/* y [m,n] = w + diag(delta) q on the k rows of q [k,n]; ddelta_i = <row i of w (here dy), of q> */
typedef struct {
    const void *w, *q;
    const float *delta;
    void *y; /* of the gradient: ddelta, fp32 [k] */
    int64_t m, k;
    int n;
} spectral_rows;
cudaError_t launch_row_scale_add(bool bf16, const spectral_rows *u, cudaStream_t stream);
cudaError_t launch_row_scale_add_grad(bool bf16, const spectral_rows *u, cudaStream_t stream);

/* update.cu: see backend/update.h. `parts` [UPDATE_BLOCKS] is scratch for a sum. launch_add_to_sum:
 * to the limbs, or to the sum if there are none. launch_largest: of count > 0 numbers, NaN if one
 * is. What changes from step to step (limit, rule, where notes go) is read from the device's
 * memory, since an argument keeps its value when a recording is launched again. */
enum { UPDATE_BLOCKS = 128, UPDATE_PIECE = 256 };
typedef struct { /* of a vector, at most UPDATE_PIECE elements */
    float *x;
    const float *g;
    float *m, *v;
    int count;
} adamw_piece;
cudaError_t launch_add_to_sum(int64_t *limbs, float *sum, const float *x, int64_t n, int64_t *parts,
                              update_notes notes, cudaStream_t stream);
cudaError_t launch_exact_round(int64_t *limbs, float factor, float *x, int64_t n,
                               cudaStream_t stream);
cudaError_t launch_norm(const float *x, int64_t n, double *parts, double *norm,
                        cudaStream_t stream);
cudaError_t launch_checksum(const float *x, int64_t n, uint64_t *parts, uint64_t *sum,
                            cudaStream_t stream);
cudaError_t launch_clip(const double *norm, const double *limit, float *x, int64_t n,
                        cudaStream_t stream);
cudaError_t launch_adamw(const adamw_rule *rule, const adamw_piece *pieces, unsigned count,
                         const double *norm, cudaStream_t stream);
cudaError_t launch_largest(const double *x, int64_t count, double *largest, cudaStream_t stream);

/* update_rotations.cu: stiefel_f32 with scratch of ROTATION_ROOM(n, m) floats. */
#define ROTATION_ROOM(n, m) (3 * (size_t)(n) * (size_t)(m) + 6 * (size_t)(m) * (size_t)(m))
typedef struct {
    int n, m;
    float *X;
    const float *G;
    float *Y, *p, *V, *pV;
    float *room;
} rotation;
/* drift by rotation; 0 where *norm is not finite, and nothing is moved. */
cudaError_t launch_rotations_step(const stiefel_rule *rule, const rotation *rotations,
                                  unsigned count, const double *norm, double *drift,
                                  cudaStream_t stream);

#ifdef __cplusplus
}
#endif
