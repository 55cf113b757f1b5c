/* row_scale_add: a weight plus scaled rows, and the gradient of the scales. */
#include "graph/rule.h"

static soda_status shape_row_scale_add(const soda_attr *attr, const soda_value *const *in,
                                       soda_tensor *out)
{
    (void)attr;
    const soda_value *w = in[0], *q = in[1];
    if (w->shape.rank != 2 || q->shape.rank != 2 || w->shape.dim[1] != q->shape.dim[1] ||
        q->shape.dim[0] > w->shape.dim[0])
        return rule_misfit("row_scale_add", "w", w, "q", q);
    if (!rule_is_vector(in[2], q->shape.dim[0]))
        return rule_misfit("row_scale_add", "q", q, "delta", in[2]);
    rule_set(&out[0], w->kind == VALUE_WEIGHT ? wide_type(in[2]->dtype) : w->dtype, w->shape);
    return SODA_OK;
}

static void backward_row_scale_add(soda_graph *graph, const soda_node *node, const soda_id *in,
                                   const soda_id *out, const soda_id *dout, const bool *need,
                                   soda_id *din)
{
    (void)out;
    if (need[0]) din[0] = dout[0];
    if (need[2])
        din[2] =
            rule_append(graph, OP_row_scale_add_grad, &node->attr, (soda_id[]){dout[0], in[1]}, 2);
}

static soda_status shape_row_scale_add_grad(const soda_attr *attr, const soda_value *const *in,
                                            soda_tensor *out)
{
    (void)attr;
    const soda_value *dy = in[0], *q = in[1];
    if (dy->shape.rank != 2 || q->shape.rank != 2 || dy->shape.dim[1] != q->shape.dim[1])
        return rule_misfit("row_scale_add_grad", "dy", dy, "q", q);
    rule_set(&out[0], wide_type(dy->dtype), SHAPE(q->shape.dim[0]));
    return SODA_OK;
}

const op_rule rule_row_scale_add = {.shape = shape_row_scale_add,
                                    .cost = rule_cost_elementwise,
                                    .backward = backward_row_scale_add};
const op_rule rule_row_scale_add_grad = {.shape = shape_row_scale_add_grad,
                                         .cost = rule_cost_elementwise};

soda_id graph_row_scale_add(soda_graph *graph, soda_id w, soda_id q, soda_id delta)
{
    return rule_append(graph, OP_row_scale_add, NULL, (soda_id[]){w, q, delta}, 3);
}
