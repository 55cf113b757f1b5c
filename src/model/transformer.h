/* transformer.h: Transformer2DModel, the attention module of the U-Net. */
#pragma once

#include "model/builder.h"

typedef struct {
    int64_t heads, depth; /* depth: transformer blocks, each a segment of its own */
    int64_t groups;
    bool linear_projection;
} transformer_shape;

/* x + proj_out(blocks(proj_in(norm x))), x [N,H,W,C]; context [N,T,D] feeds the cross attention. */
soda_id transformer_build(soda_builder *b, const char *path, soda_id x, soda_id context,
                          transformer_shape shape);
