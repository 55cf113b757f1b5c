/* scale by a constant. */
#include "graph/rule.h"

static void backward_scale(soda_graph *graph, const soda_node *node, const soda_id *in,
                           const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)in, (void)out, (void)need;
    din[0] = graph_scale(graph, dout[0], node->attr.scale.factor);
}

const op_rule rule_scale = {
    .shape = rule_shape_like_first, .cost = rule_cost_elementwise, .backward = backward_scale};

soda_id graph_scale(soda_graph *graph, soda_id x, float factor)
{
    return rule_append(graph, OP_scale, &(soda_attr){.scale = {factor}}, &x, 1);
}
