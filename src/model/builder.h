/* builder.h: what the builders of all networks share: weights by module path, and layers.
 *
 * Paths are the module paths of diffusers and transformers ("down_blocks.0.resnets.1.conv1").
 * Values are [N,H,W,C] pictures or [N,T,C] tokens. Failures stay in the graph: see graph.h. */
#pragma once

#include <stdbool.h>

#include "graph/graph.h"
#include "graph/weight.h"

/* Replaces the linear layer at `path`: x [..,in], w [out,in] frozen, b [out] or NO_VALUE. Returns
 * y [..,out], or NO_VALUE on a graph that is still well: not adapted. */
typedef soda_id (*builder_adapt)(void *context, soda_graph *graph, const char *path, soda_id x,
                                 soda_id w, soda_id b);

typedef struct {
    soda_graph *graph;
    soda_weight_source *source;
    builder_adapt adapt; /* NULL: every linear layer is plain */
    void *adapt_context;
    const char *scope; /* before the names of inputs and outputs (text encoders only); NULL: none */
} soda_builder;

/* A module path by value: path_join("%s.attn1", parent).text lives to the end of the statement. */
typedef struct {
    char text[192];
} soda_path;
soda_path path_join(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool builder_ok(const soda_builder *b);

/* The shape of a value; all zero for NO_VALUE, so that a builder can run on after a failure. */
soda_shape builder_shape(const soda_builder *b, soda_id value);
int64_t builder_columns(const soda_builder *b, soda_id value);

/* Weight "PATH.weight" or "PATH.bias". */
soda_id builder_weight(soda_builder *b, const char *path, const char *leaf, soda_shape shape);

/* Linear(in, out). The only way to a linear layer that an adapter may take. */
soda_id builder_linear(soda_builder *b, const char *path, soda_id x, int64_t out, bool bias);

/* Conv2d with a 1x1 kernel: [N,H,W,C] or [N,T,C], a linear layer to the graph, not to adapters. */
soda_id builder_conv1x1(soda_builder *b, const char *path, soda_id x, int64_t out);

/* Conv2d with an odd kernel, stride 1, padded to keep the size. */
soda_id builder_conv(soda_builder *b, const char *path, soda_id x, int64_t out, int64_t kernel);

/* Downsample2D: 3x3, stride 2. padding 1: all around; 0: one row below, one column at the right. */
soda_id builder_downsample(soda_builder *b, const char *path, soda_id x, int64_t padding);

/* Upsample2D: nearest neighbours to [N,h,w,C], then a 3x3 convolution. */
soda_id builder_upsample(soda_builder *b, const char *path, soda_id x, int64_t h, int64_t w);

soda_id builder_group_norm(soda_builder *b, const char *path, soda_id x, int64_t groups, float eps,
                           bool silu);
soda_id builder_layer_norm(soda_builder *b, const char *path, soda_id x, float eps);

/* [N,H,W,C] seen as tokens [N,HW,C], and back. */
soda_id builder_tokens(soda_builder *b, soda_id x);
soda_id builder_picture(soda_builder *b, soda_id tokens, int64_t h, int64_t w);

/* ResnetBlock2D: x + conv2(silu(norm2(conv1(silu(norm1 x)) + time_emb_proj(time)))); x goes through
 * conv_shortcut if the width changes. time [N,E] is after its silu, or NO_VALUE. The caller starts
 * the segment. */
soda_id builder_resnet(soda_builder *b, const char *path, soda_id x, soda_id time, int64_t out,
                       int64_t groups, float eps);
