/* group_norm, with silu or without, and its gradient. */
#include "graph/rule.h"

static soda_status shape_group_norm(const soda_attr *attr, const soda_value *const *in,
                                    soda_tensor *out)
{
    const soda_value *x = in[0];
    const int64_t channels = shape_columns(&x->shape), groups = attr->group_norm.groups;
    if (x->shape.rank < 2 || groups < 1 || channels % groups)
        return FAIL(SODA_ERR_INPUT,
                    "group_norm: %lld channels are not a multiple of %lld groups%s%s",
                    (long long)channels, (long long)groups, in[1]->name ? " at " : "",
                    in[1]->name ? in[1]->name : "");
    if (!rule_is_vector(in[1], channels)) return rule_misfit("group_norm", "x", x, "gamma", in[1]);
    if (!rule_is_vector(in[2], channels)) return rule_misfit("group_norm", "x", x, "beta", in[2]);
    rule_set(&out[0], x->dtype, x->shape);
    rule_set(&out[1], wide_type(x->dtype), SHAPE(x->shape.dim[0], groups, 2));
    return SODA_OK;
}

static void backward_group_norm(soda_graph *graph, const soda_node *node, const soda_id *in,
                                const soda_id *out, const soda_id *dout, const bool *need,
                                soda_id *din)
{
    if (need[0])
        din[0] = rule_append(graph, OP_group_norm_grad, &node->attr,
                             (soda_id[]){dout[0], in[0], in[1], in[2], out[1]}, 5);
}

const op_rule rule_group_norm = {
    .shape = shape_group_norm, .cost = rule_cost_norm, .backward = backward_group_norm};
const op_rule rule_group_norm_grad = {.shape = rule_shape_like_second, .cost = rule_cost_norm};

soda_id graph_group_norm(soda_graph *graph, soda_id x, soda_id gamma, soda_id beta,
                         group_norm_attr attr)
{
    return rule_append(graph, OP_group_norm, &(soda_attr){.group_norm = attr},
                       (soda_id[]){x, gamma, beta}, 3);
}
