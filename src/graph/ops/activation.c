/* activation: silu, gelu, quick_gelu or relu, and its gradient. */
#include "graph/rule.h"

static void backward_activation(soda_graph *graph, const soda_node *node, const soda_id *in,
                                const soda_id *out, const soda_id *dout, const bool *need,
                                soda_id *din)
{
    (void)out, (void)need;
    din[0] = rule_append(graph, OP_activation_grad, &node->attr, (soda_id[]){dout[0], in[0]}, 2);
}

const op_rule rule_activation = {
    .shape = rule_shape_like_first, .cost = rule_cost_activation, .backward = backward_activation};
const op_rule rule_activation_grad = {.shape = rule_shape_like_second,
                                      .cost = rule_cost_activation};

soda_id graph_activation(soda_graph *graph, soda_id x, soda_activation kind)
{
    return rule_append(graph, OP_activation, &(soda_attr){.activation = {kind}}, &x, 1);
}
