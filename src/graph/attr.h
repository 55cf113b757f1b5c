/* attr.h: what an operator needs to know besides its tensors. One struct per operator that has any.
 */
#pragma once

#include "core/tensor.h"

typedef enum { ACT_SILU, ACT_GELU, ACT_QUICK_GELU, ACT_RELU } soda_activation;

typedef struct {
    bool transposed; /* w is stored [in,out] instead of [out,in] */
} linear_attr;

typedef struct {
    int64_t stride;
    int64_t top, left, bottom, right; /* zero padding */
    int64_t in_h, in_w;               /* conv2d_grad_x only: the size of dx */
} conv2d_attr;

typedef struct {
    int64_t groups;
    float eps;
    bool silu; /* y = silu(norm(x)): saves a pass over memory */
} group_norm_attr;

typedef struct {
    float eps;
} layer_norm_attr;

typedef struct {
    soda_activation kind;
} activation_attr;

typedef struct {
    int64_t heads;
    bool causal;
    float scale; /* of the logits, before softmax; 1/sqrt(head width) as a rule */
} attention_attr;

typedef struct {
    int64_t start, length; /* along the last axis */
} slice_attr;

typedef struct {
    int64_t h, w; /* size of the result */
} upsample_attr;

typedef struct {
    int64_t width;
    bool cos_first; /* diffusers: flip_sin_to_cos */
    float shift;    /* diffusers: freq_shift */
} timestep_embedding_attr;

typedef struct {
    float factor;
} scale_attr;

typedef struct {
    soda_dtype dtype;
} cast_attr;

typedef struct {
    bool transposed; /* x R' instead of x R */
} kron_rotate_attr;

typedef struct {
    float beta; /* of DCO; not used without a reference */
} mse_loss_attr;

typedef union {
    linear_attr linear;
    conv2d_attr conv2d;
    group_norm_attr group_norm;
    layer_norm_attr layer_norm;
    activation_attr activation;
    attention_attr attention;
    slice_attr slice;
    upsample_attr upsample;
    timestep_embedding_attr timestep_embedding;
    scale_attr scale;
    cast_attr cast; /* also embedding: the type of the result */
    kron_rotate_attr kron_rotate;
    mse_loss_attr mse_loss;
} soda_attr;
