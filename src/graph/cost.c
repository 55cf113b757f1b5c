/* cost.c: flops and bytes of a node, from shapes alone. */
#include "graph/rule.h"

static double bytes_of(const soda_value *v)
{
    return (double)shape_count(&v->shape) * (double)dtype_bytes(v->dtype);
}

/* Bytes of a frozen weight count in the type it is computed in, not in the file's. */
static double input_bytes(const soda_graph *graph, const soda_value *v)
{
    if (v->kind != VALUE_WEIGHT) return bytes_of(v);
    return (double)shape_count(&v->shape) * (double)dtype_bytes(graph->compute);
}

soda_cost graph_node_cost(const soda_graph *graph, int index)
{
    const soda_node *node = &graph->nodes[index];
    const soda_value *in[SODA_MAX_INPUTS] = {NULL}, *out[SODA_MAX_OUTPUTS] = {NULL};
    soda_cost cost = {0, 0};
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        if (node->in[i] == NO_VALUE) continue;
        in[i] = &graph->values[node->in[i]];
        cost.bytes += input_bytes(graph, in[i]);
    }
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++) {
        if (node->out[i] == NO_VALUE) continue;
        out[i] = &graph->values[node->out[i]];
        cost.bytes += bytes_of(out[i]);
    }
    cost.flops = rule_of[node->op]->cost(&node->attr, in, out);
    return cost;
}
