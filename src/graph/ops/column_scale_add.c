/* column_scale_add: tokens plus scaled columns, and the gradients of the columns and scales. */
#include "graph/rule.h"

/* Rows of h, which are those of x, are no longer than these. */
static bool fits(const soda_value *x, const soda_value *h)
{
    const int64_t k = shape_columns(&h->shape);
    const soda_shape shape = rule_with_columns(x->shape, k);
    return x->dtype == h->dtype && k <= shape_columns(&x->shape) && shape_equal(&shape, &h->shape);
}

static soda_status shape_column_scale_add(const soda_attr *attr, const soda_value *const *in,
                                          soda_tensor *out)
{
    (void)attr;
    if (!fits(in[0], in[1])) return rule_misfit("column_scale_add", "x", in[0], "h", in[1]);
    if (!rule_is_vector(in[2], shape_columns(&in[1]->shape)))
        return rule_misfit("column_scale_add", "h", in[1], "delta", in[2]);
    rule_set(&out[0], in[0]->dtype, in[0]->shape);
    return SODA_OK;
}

static double cost_column_scale_add(const soda_attr *attr, const soda_value *const *in,
                                    const soda_value *const *out)
{
    (void)attr, (void)out;
    return 2 * rule_count(in[1]);
}

static void backward_column_scale_add(soda_graph *graph, const soda_node *node, const soda_id *in,
                                      const soda_id *out, const soda_id *dout, const bool *need,
                                      soda_id *din)
{
    (void)out;
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (need[0]) din[0] = dout[0];
    if (!need[1] && !need[2]) return;
    if (graph_append(graph, OP_column_scale_add_grad, &node->attr,
                     (soda_id[]){dout[0], in[1], in[2]}, 3, gradient) != SODA_OK)
        return;
    if (need[1]) din[1] = gradient[0];
    if (need[2]) din[2] = gradient[1];
}

static soda_status shape_column_scale_add_grad(const soda_attr *attr, const soda_value *const *in,
                                               soda_tensor *out)
{
    (void)attr;
    if (!fits(in[0], in[1])) return rule_misfit("column_scale_add_grad", "dy", in[0], "h", in[1]);
    rule_set(&out[0], in[1]->dtype, in[1]->shape);
    rule_set(&out[1], wide_type(in[2]->dtype), in[2]->shape);
    return SODA_OK;
}

static double cost_column_scale_add_grad(const soda_attr *attr, const soda_value *const *in,
                                         const soda_value *const *out)
{
    (void)attr, (void)out;
    return 3 * rule_count(in[1]);
}

const op_rule rule_column_scale_add = {.shape = shape_column_scale_add,
                                       .cost = cost_column_scale_add,
                                       .backward = backward_column_scale_add};
const op_rule rule_column_scale_add_grad = {.shape = shape_column_scale_add_grad,
                                            .cost = cost_column_scale_add_grad};

soda_id graph_column_scale_add(soda_graph *graph, soda_id x, soda_id h, soda_id delta)
{
    return rule_append(graph, OP_column_scale_add, NULL, (soda_id[]){x, h, delta}, 3);
}
