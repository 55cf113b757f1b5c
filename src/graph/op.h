/* op.h: the operators: their names and facts (the rows of ops.def), and what each needs to know
 * besides its tensors, with the function that appends it to a graph. Shapes and formulas are in
 * ops.def, the rules in graph/ops/. */
#pragma once

#include "core/tensor.h"

enum { SODA_MAX_INPUTS = 6, SODA_MAX_OUTPUTS = 4 };

typedef enum {
#define OP(name, ...) OP_##name,
#include "graph/ops.def"
#undef OP
    OP_COUNT
} soda_op;

enum { /* flags of a row */
       OP_IN_PLACE =
           1, /* kernels may write the first output over the first input, if it dies there */
       OP_CONVERTS = 2, /* the values of the input in another type: computes nothing */
};

typedef struct {
    const char *name;
    int least_inputs, most_inputs, outputs;
    unsigned flags;
} op_row;

extern const op_row op_rows[OP_COUNT];

typedef int32_t soda_id; /* index of a value */
enum { NO_VALUE = -1 };  /* an optional input b that is absent; the result of a call that failed */

typedef struct soda_graph soda_graph;

typedef struct {
    bool transposed; /* w is stored [in,out] instead of [out,in] */
} linear_attr;
soda_id graph_linear(soda_graph *graph, soda_id x, soda_id w, soda_id b);
soda_id graph_linear_transposed(soda_graph *graph, soda_id x, soda_id w, soda_id b);

typedef struct {
    int64_t stride;
    int64_t top, left, bottom, right; /* zero padding */
    int64_t in_h, in_w;               /* conv2d_grad_x only: the size of dx */
} conv2d_attr;
soda_id graph_conv2d(soda_graph *graph, soda_id x, soda_id w, soda_id b, conv2d_attr attr);

typedef struct {
    int64_t groups;
    float eps;
    bool silu; /* y = silu(norm(x)): saves a pass over memory */
} group_norm_attr;
soda_id graph_group_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta,
                         group_norm_attr attr);

typedef struct {
    float eps;
} layer_norm_attr;
soda_id graph_layer_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta, float eps);

typedef enum { ACT_SILU, ACT_GELU, ACT_QUICK_GELU, ACT_RELU } soda_activation;
typedef struct {
    soda_activation kind;
} activation_attr;
soda_id graph_activation(soda_graph *graph, soda_id x, soda_activation kind);

soda_id graph_geglu(soda_graph *graph, soda_id x);

typedef struct {
    int64_t heads;
    bool causal;
    float scale; /* of the logits, before softmax; 1/sqrt(head width) as a rule */
} attention_attr;
soda_id graph_attention(soda_graph *graph, soda_id q, soda_id k, soda_id v, int64_t heads,
                        bool causal);

soda_id graph_add(soda_graph *graph, soda_id a, soda_id b);

soda_id graph_concat(soda_graph *graph, soda_id a, soda_id b);
typedef struct {
    int64_t start, length; /* along the last axis */
} slice_attr;
soda_id graph_slice(soda_graph *graph, soda_id x, int64_t start, int64_t length);

typedef struct {
    int64_t h, w; /* size of the result */
} upsample_attr;
soda_id graph_upsample(soda_graph *graph, soda_id x, int64_t h, int64_t w);

soda_id graph_embedding(soda_graph *graph, soda_id ids, soda_id table);

typedef struct {
    int64_t width;
    bool cos_first; /* diffusers: flip_sin_to_cos */
    float shift;    /* diffusers: freq_shift */
} timestep_embedding_attr;
soda_id graph_timestep_embedding(soda_graph *graph, soda_id t, timestep_embedding_attr attr);

typedef struct {
    float factor;
} scale_attr;
soda_id graph_scale(soda_graph *graph, soda_id x, float factor);

typedef struct {
    soda_dtype dtype;
} cast_attr;
soda_id graph_cast(soda_graph *graph, soda_id x, soda_dtype dtype);

typedef struct {
    bool transposed; /* x R' instead of x R */
} kron_rotate_attr;
soda_id graph_kron_rotate(soda_graph *graph, soda_id x, const soda_id factor[3], bool transposed);

soda_id graph_spectral_scale(soda_graph *graph, soda_id x, soda_id s, soda_id delta);

soda_id graph_row_scale_add(soda_graph *graph, soda_id w, soda_id q, soda_id delta);

soda_id graph_column_scale_add(soda_graph *graph, soda_id x, soda_id h, soda_id delta);

typedef struct {
    float beta; /* of DCO; not used without a reference */
} mse_loss_attr;
soda_id graph_mse_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight);
soda_id graph_dco_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight,
                       soda_id reference, float beta);

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
