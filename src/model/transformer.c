#include "model/transformer.h"

/* diffusers, models/transformers/transformer_2d.py and models/attention.py: constants, not keys */
static const float GROUP_NORM_EPS = 1e-6f, LAYER_NORM_EPS = 1e-5f;
enum { FEED_FORWARD_FACTOR = 4 };

/* to_out.0(attention(to_q x, to_k y, to_v y)): x [N,T,C], y [N,S,D] (x itself: self attention) */
static soda_id attention(soda_builder *b, const char *path, soda_id x, soda_id y, int64_t heads)
{
    const int64_t width = builder_columns(b, x);
    const soda_id q = builder_linear(b, path_join("%s.to_q", path).text, x, width, false);
    const soda_id k = builder_linear(b, path_join("%s.to_k", path).text, y, width, false);
    const soda_id v = builder_linear(b, path_join("%s.to_v", path).text, y, width, false);
    const soda_id o = graph_attention(b->graph, q, k, v, heads, false);
    return builder_linear(b, path_join("%s.to_out.0", path).text, o, width, true);
}

/* BasicTransformerBlock: three residual steps, each with its own layer norm. */
static soda_id block(soda_builder *b, const char *path, soda_id x, soda_id context, int64_t heads)
{
    graph_next_segment(b->graph);
    const int64_t width = builder_columns(b, x);
    soda_id h = builder_layer_norm(b, path_join("%s.norm1", path).text, x, LAYER_NORM_EPS);
    x = graph_add(b->graph, x, attention(b, path_join("%s.attn1", path).text, h, h, heads));
    h = builder_layer_norm(b, path_join("%s.norm2", path).text, x, LAYER_NORM_EPS);
    x = graph_add(b->graph, x, attention(b, path_join("%s.attn2", path).text, h, context, heads));
    h = builder_layer_norm(b, path_join("%s.norm3", path).text, x, LAYER_NORM_EPS);
    h = builder_linear(b, path_join("%s.ff.net.0.proj", path).text, h,
                       2 * FEED_FORWARD_FACTOR * width, true);
    h = graph_geglu(b->graph, h);
    h = builder_linear(b, path_join("%s.ff.net.2", path).text, h, width, true);
    return graph_add(b->graph, x, h);
}

soda_id transformer_build(soda_builder *b, const char *path, soda_id x, soda_id context,
                          transformer_shape shape)
{
    graph_next_segment(b->graph);
    const soda_shape s = builder_shape(b, x);
    const int64_t width = builder_columns(b, x);
    /* diffusers rounds the head width down: the blocks may be narrower than the picture */
    const int64_t inner = width / shape.heads * shape.heads;
    const soda_path in = path_join("%s.proj_in", path), out = path_join("%s.proj_out", path);
    soda_id h = builder_group_norm(b, path_join("%s.norm", path).text, x, shape.groups,
                                   GROUP_NORM_EPS, false);
    h = builder_tokens(b, h);
    h = shape.linear_projection ? builder_linear(b, in.text, h, inner, true)
                                : builder_conv1x1(b, in.text, h, inner);
    for (int64_t i = 0; i < shape.depth; i++)
        h = block(b, path_join("%s.transformer_blocks.%d", path, (int)i).text, h, context,
                  shape.heads);
    graph_next_segment(b->graph);
    h = shape.linear_projection ? builder_linear(b, out.text, h, width, true)
                                : builder_conv1x1(b, out.text, h, width);
    return graph_add(b->graph, x, builder_picture(b, h, s.dim[1], s.dim[2]));
}
