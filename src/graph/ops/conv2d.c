/* conv2d and the gradient of its input. Its weight is frozen. */
#include "graph/rule.h"

static soda_status shape_conv2d(const soda_attr *attr, const soda_value *const *in,
                                soda_tensor *out)
{
    const soda_value *x = in[0], *w = in[1], *b = in[2];
    const conv2d_attr *a = &attr->conv2d;
    if (x->shape.rank != 4 || w->shape.rank != 4 || w->shape.dim[1] != x->shape.dim[3] ||
        !rule_type_fits(w, x))
        return rule_misfit("conv2d", "x", x, "w", w);
    if (b && (!rule_is_vector(b, w->shape.dim[0]) || !rule_type_fits(b, x)))
        return rule_misfit("conv2d", "w", w, "b", b);
    const int64_t h = x->shape.dim[1] + a->top + a->bottom - w->shape.dim[2];
    const int64_t width = x->shape.dim[2] + a->left + a->right - w->shape.dim[3];
    if (h < 0 || width < 0 || a->stride < 1) return rule_misfit("conv2d", "x", x, "kernel", w);
    rule_set(&out[0], x->dtype,
             SHAPE(x->shape.dim[0], h / a->stride + 1, width / a->stride + 1, w->shape.dim[0]));
    return SODA_OK;
}

/* A tap of the kernel for every output element and input channel. */
static double cost_conv2d(const soda_attr *attr, const soda_value *const *in,
                          const soda_value *const *out)
{
    (void)attr;
    const soda_shape *w = &in[1]->shape;
    return 2 * rule_count(out[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

static void backward_conv2d(soda_graph *graph, const soda_node *node, const soda_id *in,
                            const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    soda_attr attr = node->attr;
    attr.conv2d.in_h = graph_value(graph, in[0])->shape.dim[1];
    attr.conv2d.in_w = graph_value(graph, in[0])->shape.dim[2];
    if (need[0])
        din[0] = rule_append(graph, OP_conv2d_grad_x, &attr, (soda_id[]){dout[0], in[1]}, 2);
    if ((need[1] || need[2]) && graph->status == SODA_OK)
        graph_fail(graph, FAIL(SODA_ERR_UNSUPPORTED, "conv2d: its weight cannot be trained"));
}

static soda_status shape_conv2d_grad_x(const soda_attr *attr, const soda_value *const *in,
                                       soda_tensor *out)
{
    const soda_value *dy = in[0], *w = in[1];
    const conv2d_attr *a = &attr->conv2d;
    if (dy->shape.rank != 4 || w->shape.rank != 4 || w->shape.dim[0] != dy->shape.dim[3] ||
        (a->in_h + a->top + a->bottom - w->shape.dim[2]) / a->stride + 1 != dy->shape.dim[1] ||
        (a->in_w + a->left + a->right - w->shape.dim[3]) / a->stride + 1 != dy->shape.dim[2])
        return rule_misfit("conv2d_grad_x", "dy", dy, "w", w);
    rule_set(&out[0], dy->dtype, SHAPE(dy->shape.dim[0], a->in_h, a->in_w, w->shape.dim[1]));
    return SODA_OK;
}

/* The same taps as forward: one for every element of dy. */
static double cost_conv2d_grad_x(const soda_attr *attr, const soda_value *const *in,
                                 const soda_value *const *out)
{
    (void)attr, (void)out;
    const soda_shape *w = &in[1]->shape;
    return 2 * rule_count(in[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

const op_rule rule_conv2d = {
    .shape = shape_conv2d, .cost = cost_conv2d, .backward = backward_conv2d};
const op_rule rule_conv2d_grad_x = {.shape = shape_conv2d_grad_x, .cost = cost_conv2d_grad_x};

soda_id graph_conv2d(soda_graph *graph, soda_id x, soda_id w, soda_id b, conv2d_attr attr)
{
    return rule_append(graph, OP_conv2d, &(soda_attr){.conv2d = attr}, (soda_id[]){x, w, b}, 3);
}
