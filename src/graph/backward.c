/* backward.c: the backward rule of every operator: appends nodes that compute din from dout.
 *
 * in[] and out[] are the ids to read forward values from: under recomputation they are the fresh
 * copies. Frozen weights never get a gradient; need[i] says which inputs lead to a param. */
#include "graph/graph_internal.h"

void backward_none(soda_graph *graph, const soda_node *node, const soda_id *in, const soda_id *out,
                   const soda_id *dout, const bool *need, soda_id *din)
{
    (void)graph, (void)node, (void)in, (void)out, (void)dout, (void)need, (void)din;
}

/* Appends `op` and returns its first output. */
static soda_id append(soda_graph *graph, soda_op op, const soda_attr *attr, const soda_id *in,
                      int inputs)
{
    soda_id out[SODA_MAX_OUTPUTS];
    return graph_append(graph, op, attr, in, inputs, out) == SODA_OK ? out[0] : NO_VALUE;
}

/* y = x w' : dx = dy w, dw = dy' x. A stored-transposed w gets dw = x' dy. dw stays fp32 if w is a
 * bf16 copy of an fp32 weight: backward_cast hands it on as it is. */
void backward_linear(soda_graph *graph, const soda_node *node, const soda_id *in,
                     const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    const bool t = node->attr.linear.transposed;
    if (need[0]) {
        din[0] = t ? graph_linear(graph, dout[0], in[1], NO_VALUE)
                   : graph_linear_transposed(graph, dout[0], in[1], NO_VALUE);
    }
    if (need[1]) {
        const soda_id pair[2] = {t ? in[0] : dout[0], t ? dout[0] : in[0]};
        din[1] = append(graph, OP_linear_grad_weight, &node->attr, pair, 2);
    }
    if (need[2] && graph->status == SODA_OK)
        graph_fail(graph, FAIL(SODA_ERR_UNSUPPORTED, "linear: a bias cannot be trained"));
}

void backward_conv2d(soda_graph *graph, const soda_node *node, const soda_id *in,
                     const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    soda_attr attr = node->attr;
    attr.conv2d.in_h = graph_value(graph, in[0])->shape.dim[1];
    attr.conv2d.in_w = graph_value(graph, in[0])->shape.dim[2];
    if (need[0]) din[0] = append(graph, OP_conv2d_grad_x, &attr, (soda_id[]){dout[0], in[1]}, 2);
    if ((need[1] || need[2]) && graph->status == SODA_OK)
        graph_fail(graph, FAIL(SODA_ERR_UNSUPPORTED, "conv2d: its weight cannot be trained"));
}

void backward_group_norm(soda_graph *graph, const soda_node *node, const soda_id *in,
                         const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    if (need[0])
        din[0] = append(graph, OP_group_norm_grad, &node->attr,
                        (soda_id[]){dout[0], in[0], in[1], in[2], out[1]}, 5);
}

void backward_layer_norm(soda_graph *graph, const soda_node *node, const soda_id *in,
                         const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    if (need[0])
        din[0] = append(graph, OP_layer_norm_grad, &node->attr,
                        (soda_id[]){dout[0], in[0], in[1], out[1]}, 4);
}

void backward_activation(soda_graph *graph, const soda_node *node, const soda_id *in,
                         const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out, (void)need;
    din[0] = append(graph, OP_activation_grad, &node->attr, (soda_id[]){dout[0], in[0]}, 2);
}

void backward_geglu(soda_graph *graph, const soda_node *node, const soda_id *in, const soda_id *out,
                    const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out, (void)need;
    din[0] = append(graph, OP_geglu_grad, &node->attr, (soda_id[]){dout[0], in[0]}, 2);
}

void backward_attention(soda_graph *graph, const soda_node *node, const soda_id *in,
                        const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (graph_append(graph, OP_attention_grad, &node->attr,
                     (soda_id[]){in[0], in[1], in[2], out[0], out[1], dout[0]}, 6,
                     gradient) != SODA_OK)
        return;
    for (int i = 0; i < 3; i++)
        if (need[i]) din[i] = gradient[i];
}

void backward_add(soda_graph *graph, const soda_node *node, const soda_id *in, const soda_id *out,
                  const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    const bool same =
        shape_equal(&graph_value(graph, in[0])->shape, &graph_value(graph, in[1])->shape);
    if (need[0]) din[0] = dout[0];
    if (need[1]) din[1] = same ? dout[0] : append(graph, OP_sum_rows, &node->attr, &dout[0], 1);
}

void backward_concat(soda_graph *graph, const soda_node *node, const soda_id *in,
                     const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out;
    const int64_t a = shape_columns(&graph_value(graph, in[0])->shape);
    const int64_t b = shape_columns(&graph_value(graph, in[1])->shape);
    if (need[0]) din[0] = graph_slice(graph, dout[0], 0, a);
    if (need[1]) din[1] = graph_slice(graph, dout[0], a, b);
}

void backward_upsample(soda_graph *graph, const soda_node *node, const soda_id *in,
                       const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out, (void)need;
    const soda_shape *x = &graph_value(graph, in[0])->shape;
    const soda_attr attr = {.upsample = {x->dim[1], x->dim[2]}};
    din[0] = append(graph, OP_upsample_grad, &attr, &dout[0], 1);
}

/* Only a computed table has a gradient: pooling picks rows of the hidden states. */
void backward_embedding(soda_graph *graph, const soda_node *node, const soda_id *in,
                        const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out;
    const soda_id all[3] = {dout[0], in[0], in[1]};
    if (need[1]) din[1] = append(graph, OP_embedding_grad, NULL, all, 3);
}

void backward_scale(soda_graph *graph, const soda_node *node, const soda_id *in, const soda_id *out,
                    const soda_id *dout, const bool *need, soda_id *din)
{
    (void)in, (void)out, (void)need;
    din[0] = graph_scale(graph, dout[0], node->attr.scale.factor);
}

void backward_cast(soda_graph *graph, const soda_node *node, const soda_id *in, const soda_id *out,
                   const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out, (void)need;
    din[0] = graph_cast(graph, dout[0], graph_value(graph, in[0])->dtype);
}

void backward_kron_rotate(soda_graph *graph, const soda_node *node, const soda_id *in,
                          const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (graph_append(graph, OP_kron_rotate_grad, &node->attr,
                     (soda_id[]){dout[0], in[0], in[1], in[2], in[3]}, 5, gradient) != SODA_OK)
        return;
    for (int i = 0; i < 4; i++)
        if (need[i]) din[i] = gradient[i];
}

void backward_spectral_scale(soda_graph *graph, const soda_node *node, const soda_id *in,
                             const soda_id *out, const soda_id *dout, const bool *need,
                             soda_id *din)
{
    (void)out;
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (graph_append(graph, OP_spectral_scale_grad, &node->attr,
                     (soda_id[]){dout[0], in[0], in[1], in[2]}, 4, gradient) != SODA_OK)
        return;
    if (need[0]) din[0] = gradient[0];
    if (need[2]) din[2] = gradient[1];
}

void backward_row_scale_add(soda_graph *graph, const soda_node *node, const soda_id *in,
                            const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    if (need[0]) din[0] = dout[0];
    if (need[2])
        din[2] = append(graph, OP_row_scale_add_grad, &node->attr, (soda_id[]){dout[0], in[1]}, 2);
}

/* The loss is where gradients start: its own gradient is one. */
void backward_mse_loss(soda_graph *graph, const soda_node *node, const soda_id *in,
                       const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)dout;
    const soda_id all[5] = {in[0], in[1], in[2], out[1], in[3]};
    if (need[0])
        din[0] = append(graph, OP_mse_loss_grad, &node->attr, all, in[3] == NO_VALUE ? 4 : 5);
}
