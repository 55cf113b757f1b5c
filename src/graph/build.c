/* build.c: one function per operator that a builder of networks calls. */
#include <math.h>

#include "graph/graph_internal.h"

/* Appends and returns the first output; failures stay in the graph. */
static soda_id append(soda_graph *graph, soda_op op, soda_attr attr, const soda_id *in, int inputs)
{
    soda_id out[SODA_MAX_OUTPUTS];
    return graph_append(graph, op, &attr, in, inputs, out) == SODA_OK ? out[0] : NO_VALUE;
}

static soda_id linear(soda_graph *graph, soda_id x, soda_id w, soda_id b, bool transposed)
{
    const soda_attr attr = {.linear = {.transposed = transposed}};
    return append(graph, OP_linear, attr, (soda_id[]){x, w, b}, 3);
}

soda_id graph_linear(soda_graph *graph, soda_id x, soda_id w, soda_id b)
{
    return linear(graph, x, w, b, false);
}

soda_id graph_linear_transposed(soda_graph *graph, soda_id x, soda_id w, soda_id b)
{
    return linear(graph, x, w, b, true);
}

soda_id graph_conv2d(soda_graph *graph, soda_id x, soda_id w, soda_id b, conv2d_attr attr)
{
    return append(graph, OP_conv2d, (soda_attr){.conv2d = attr}, (soda_id[]){x, w, b}, 3);
}

soda_id graph_group_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta,
                         group_norm_attr attr)
{
    return append(graph, OP_group_norm, (soda_attr){.group_norm = attr},
                  (soda_id[]){x, gamma, beta}, 3);
}

soda_id graph_layer_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta, float eps)
{
    return append(graph, OP_layer_norm, (soda_attr){.layer_norm = {eps}},
                  (soda_id[]){x, gamma, beta}, 3);
}

soda_id graph_activation(soda_graph *graph, soda_id x, soda_activation kind)
{
    return append(graph, OP_activation, (soda_attr){.activation = {kind}}, &x, 1);
}

soda_id graph_geglu(soda_graph *graph, soda_id x)
{
    return append(graph, OP_geglu, (soda_attr){0}, &x, 1);
}

soda_id graph_attention(soda_graph *graph, soda_id q, soda_id k, soda_id v, int64_t heads,
                        bool causal)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_value *value = graph_value(graph, q);
    const double head_width = (double)shape_columns(&value->shape) / (double)heads;
    const attention_attr attr = {heads, causal, (float)(1.0 / sqrt(head_width))};
    return append(graph, OP_attention, (soda_attr){.attention = attr}, (soda_id[]){q, k, v}, 3);
}

soda_id graph_add(soda_graph *graph, soda_id a, soda_id b)
{
    return append(graph, OP_add, (soda_attr){0}, (soda_id[]){a, b}, 2);
}

soda_id graph_concat(soda_graph *graph, soda_id a, soda_id b)
{
    return append(graph, OP_concat, (soda_attr){0}, (soda_id[]){a, b}, 2);
}

soda_id graph_slice(soda_graph *graph, soda_id x, int64_t start, int64_t length)
{
    return append(graph, OP_slice, (soda_attr){.slice = {start, length}}, &x, 1);
}

soda_id graph_upsample(soda_graph *graph, soda_id x, int64_t h, int64_t w)
{
    return append(graph, OP_upsample, (soda_attr){.upsample = {h, w}}, &x, 1);
}

soda_id graph_embedding(soda_graph *graph, soda_id ids, soda_id table)
{
    return append(graph, OP_embedding, (soda_attr){.cast = {graph->compute}},
                  (soda_id[]){ids, table}, 2);
}

soda_id graph_timestep_embedding(soda_graph *graph, soda_id t, timestep_embedding_attr attr)
{
    return append(graph, OP_timestep_embedding, (soda_attr){.timestep_embedding = attr}, &t, 1);
}

soda_id graph_scale(soda_graph *graph, soda_id x, float factor)
{
    return append(graph, OP_scale, (soda_attr){.scale = {factor}}, &x, 1);
}

soda_id graph_cast(soda_graph *graph, soda_id x, soda_dtype dtype)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_value *value = graph_value(graph, x);
    if (value->dtype == dtype && value->kind != VALUE_WEIGHT) return x;
    return append(graph, OP_cast, (soda_attr){.cast = {dtype}}, &x, 1);
}

soda_id graph_kron_rotate(soda_graph *graph, soda_id x, const soda_id factor[3], bool transposed)
{
    return append(graph, OP_kron_rotate, (soda_attr){.kron_rotate = {transposed}},
                  (soda_id[]){x, factor[0], factor[1], factor[2]}, 4);
}

soda_id graph_spectral_scale(soda_graph *graph, soda_id x, soda_id s, soda_id delta)
{
    return append(graph, OP_spectral_scale, (soda_attr){0}, (soda_id[]){x, s, delta}, 3);
}

soda_id graph_row_scale_add(soda_graph *graph, soda_id w, soda_id q, soda_id delta)
{
    return append(graph, OP_row_scale_add, (soda_attr){0}, (soda_id[]){w, q, delta}, 3);
}

soda_id graph_mse_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight)
{
    return append(graph, OP_mse_loss, (soda_attr){0}, (soda_id[]){p, target, weight}, 3);
}

soda_id graph_dco_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight,
                       soda_id reference, float beta)
{
    return append(graph, OP_mse_loss, (soda_attr){.mse_loss = {beta}},
                  (soda_id[]){p, target, weight, reference}, 4);
}
