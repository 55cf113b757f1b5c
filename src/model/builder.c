#include "model/builder.h"

#include <stdarg.h>
#include <stdio.h>

soda_path path_join(const char *format, ...)
{
    soda_path path;
    va_list args;
    va_start(args, format);
    vsnprintf(path.text, sizeof path.text, format, args);
    va_end(args);
    return path;
}

bool builder_ok(const soda_builder *b) { return graph_status(b->graph) == SODA_OK; }

soda_shape builder_shape(const soda_builder *b, soda_id value)
{
    return value == NO_VALUE ? (soda_shape){0} : graph_value(b->graph, value)->shape;
}

int64_t builder_columns(const soda_builder *b, soda_id value)
{
    const soda_shape shape = builder_shape(b, value);
    return shape.rank ? shape_columns(&shape) : 0;
}

/* Asks the source for "PATH.LEAF" of `shape` and gives it to the graph as `seen` (same count). */
static soda_id weight_as(soda_builder *b, const char *path, const char *leaf, soda_shape shape,
                         soda_shape seen)
{
    if (!builder_ok(b)) return NO_VALUE;
    soda_weight weight;
    const soda_status s =
        b->source->find(b->source, path_join("%s.%s", path, leaf).text, &shape, &weight);
    if (s != SODA_OK) return graph_fail(b->graph, s);
    weight.source.shape = seen;
    return graph_weight(b->graph, &weight);
}

soda_id builder_weight(soda_builder *b, const char *path, const char *leaf, soda_shape shape)
{
    return weight_as(b, path, leaf, shape, shape);
}

soda_id builder_linear(soda_builder *b, const char *path, soda_id x, int64_t out, bool bias)
{
    const soda_id w = builder_weight(b, path, "weight", SHAPE(out, builder_columns(b, x)));
    const soda_id v = bias ? builder_weight(b, path, "bias", SHAPE(out)) : NO_VALUE;
    if (b->adapt && builder_ok(b)) {
        const soda_id y = b->adapt(b->adapt_context, b->graph, path, x, w, v);
        if (y != NO_VALUE || !builder_ok(b)) return y;
    }
    return graph_linear(b->graph, x, w, v);
}

soda_id builder_conv1x1(soda_builder *b, const char *path, soda_id x, int64_t out)
{
    const int64_t in = builder_columns(b, x);
    const soda_id w = weight_as(b, path, "weight", SHAPE(out, in, 1, 1), SHAPE(out, in));
    return graph_linear(b->graph, x, w, builder_weight(b, path, "bias", SHAPE(out)));
}

static soda_id conv(soda_builder *b, const char *path, soda_id x, int64_t out, int64_t kernel,
                    conv2d_attr attr)
{
    const int64_t in = builder_columns(b, x);
    const soda_id w = builder_weight(b, path, "weight", SHAPE(out, in, kernel, kernel));
    return graph_conv2d(b->graph, x, w, builder_weight(b, path, "bias", SHAPE(out)), attr);
}

soda_id builder_conv(soda_builder *b, const char *path, soda_id x, int64_t out, int64_t kernel)
{
    const int64_t p = (kernel - 1) / 2;
    if (kernel == 1) return builder_conv1x1(b, path, x, out);
    return conv(b, path, x, out, kernel,
                (conv2d_attr){.stride = 1, .top = p, .left = p, .bottom = p, .right = p});
}

soda_id builder_downsample(soda_builder *b, const char *path, soda_id x, int64_t padding)
{
    return conv(
        b, path, x, builder_columns(b, x), 3,
        (conv2d_attr){.stride = 2, .top = padding, .left = padding, .bottom = 1, .right = 1});
}

soda_id builder_upsample(soda_builder *b, const char *path, soda_id x, int64_t h, int64_t w)
{
    const soda_shape shape = builder_shape(b, x);
    if (shape.rank == 4 && (shape.dim[1] != h || shape.dim[2] != w))
        x = graph_upsample(b->graph, x, h, w);
    return builder_conv(b, path, x, builder_columns(b, x), 3);
}

soda_id builder_group_norm(soda_builder *b, const char *path, soda_id x, int64_t groups, float eps,
                           bool silu)
{
    const soda_shape channels = SHAPE(builder_columns(b, x));
    const soda_id gamma = builder_weight(b, path, "weight", channels);
    const soda_id beta = builder_weight(b, path, "bias", channels);
    return graph_group_norm(b->graph, x, gamma, beta,
                            (group_norm_attr){.groups = groups, .eps = eps, .silu = silu});
}

soda_id builder_layer_norm(soda_builder *b, const char *path, soda_id x, float eps)
{
    const soda_shape channels = SHAPE(builder_columns(b, x));
    const soda_id gamma = builder_weight(b, path, "weight", channels);
    const soda_id beta = builder_weight(b, path, "bias", channels);
    return graph_layer_norm(b->graph, x, gamma, beta, eps);
}

soda_id builder_tokens(soda_builder *b, soda_id x)
{
    const soda_shape s = builder_shape(b, x);
    return graph_view(b->graph, x, SHAPE(s.dim[0], s.dim[1] * s.dim[2], s.dim[3]));
}

soda_id builder_picture(soda_builder *b, soda_id tokens, int64_t h, int64_t w)
{
    const soda_shape s = builder_shape(b, tokens);
    return graph_view(b->graph, tokens, SHAPE(s.dim[0], h, w, s.dim[2]));
}

soda_id builder_resnet(soda_builder *b, const char *path, soda_id x, soda_id time, int64_t out,
                       int64_t groups, float eps)
{
    soda_id h = builder_group_norm(b, path_join("%s.norm1", path).text, x, groups, eps, true);
    h = builder_conv(b, path_join("%s.conv1", path).text, h, out, 3);
    if (time != NO_VALUE) {
        const soda_path proj = path_join("%s.time_emb_proj", path);
        h = graph_add(b->graph, h, builder_linear(b, proj.text, time, out, true));
    }
    h = builder_group_norm(b, path_join("%s.norm2", path).text, h, groups, eps, true);
    h = builder_conv(b, path_join("%s.conv2", path).text, h, out, 3);
    if (builder_columns(b, x) != out)
        x = builder_conv1x1(b, path_join("%s.conv_shortcut", path).text, x, out);
    return graph_add(b->graph, x, h);
}
