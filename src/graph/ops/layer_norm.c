/* layer_norm and its gradient. */
#include "graph/rule.h"

static soda_status shape_layer_norm(const soda_attr *attr, const soda_value *const *in,
                                    soda_tensor *out)
{
    (void)attr;
    const soda_value *x = in[0];
    const int64_t channels = shape_columns(&x->shape);
    if (!rule_is_vector(in[1], channels)) return rule_misfit("layer_norm", "x", x, "gamma", in[1]);
    if (!rule_is_vector(in[2], channels)) return rule_misfit("layer_norm", "x", x, "beta", in[2]);
    rule_set(&out[0], x->dtype, x->shape);
    rule_set(&out[1], wide_type(x->dtype), SHAPE(shape_rows(&x->shape), 2));
    return SODA_OK;
}

static void backward_layer_norm(soda_graph *graph, const soda_node *node, const soda_id *in,
                                const soda_id *out, const soda_id *dout, const bool *need,
                                soda_id *din)
{
    if (need[0])
        din[0] = rule_append(graph, OP_layer_norm_grad, &node->attr,
                             (soda_id[]){dout[0], in[0], in[1], out[1]}, 4);
}

const op_rule rule_layer_norm = {
    .shape = shape_layer_norm, .cost = rule_cost_norm, .backward = backward_layer_norm};
const op_rule rule_layer_norm_grad = {.shape = rule_shape_like_second, .cost = rule_cost_norm};

soda_id graph_layer_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta, float eps)
{
    return rule_append(graph, OP_layer_norm, &(soda_attr){.layer_norm = {eps}},
                       (soda_id[]){x, gamma, beta}, 3);
}
