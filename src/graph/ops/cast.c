/* cast to another type. */
#include "graph/rule.h"

static soda_status shape_cast(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    rule_set(&out[0], attr->cast.dtype, in[0]->shape);
    return SODA_OK;
}

static void backward_cast(soda_graph *graph, const soda_node *node, const soda_id *in,
                          const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out, (void)need;
    din[0] = graph_cast(graph, dout[0], graph_value(graph, in[0])->dtype);
}

const op_rule rule_cast = {.shape = shape_cast, .cost = rule_cost_copy, .backward = backward_cast};

soda_id graph_cast(soda_graph *graph, soda_id x, soda_dtype dtype)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_value *value = graph_value(graph, x);
    if (value->dtype == dtype && value->kind != VALUE_WEIGHT) return x;
    return rule_append(graph, OP_cast, &(soda_attr){.cast = {dtype}}, &x, 1);
}
