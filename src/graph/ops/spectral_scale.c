/* spectral_scale: columns times the shifted singular values, and its gradients. */
#include "graph/rule.h"

static soda_status shape_spectral_scale(const soda_attr *attr, const soda_value *const *in,
                                        soda_tensor *out)
{
    (void)attr;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (!rule_is_vector(in[1], columns))
        return rule_misfit("spectral_scale", "x", in[0], "s", in[1]);
    if (!rule_is_vector(in[2], columns))
        return rule_misfit("spectral_scale", "x", in[0], "delta", in[2]);
    rule_set(&out[0], in[0]->kind == VALUE_WEIGHT ? wide_type(in[2]->dtype) : in[0]->dtype,
             in[0]->shape);
    return SODA_OK;
}

static void backward_spectral_scale(soda_graph *graph, const soda_node *node, const soda_id *in,
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

static soda_status shape_spectral_scale_grad(const soda_attr *attr, const soda_value *const *in,
                                             soda_tensor *out)
{
    TRY(shape_spectral_scale(attr, in + 1, out));
    if (!shape_equal(&in[0]->shape, &in[1]->shape))
        return rule_misfit("spectral_scale_grad", "dy", in[0], "x", in[1]);
    rule_set(&out[1], wide_type(in[3]->dtype), in[3]->shape);
    return SODA_OK;
}

const op_rule rule_spectral_scale = {.shape = shape_spectral_scale,
                                     .cost = rule_cost_elementwise,
                                     .backward = backward_spectral_scale};
const op_rule rule_spectral_scale_grad = {.shape = shape_spectral_scale_grad,
                                          .cost = rule_cost_elementwise};

soda_id graph_spectral_scale(soda_graph *graph, soda_id x, soda_id s, soda_id delta)
{
    return rule_append(graph, OP_spectral_scale, NULL, (soda_id[]){x, s, delta}, 3);
}
