/* rotation.c: SODA's rotation of the inputs alone, W = W0 R'. */
#include "adapter/kronecker.h"
#include "adapter/merge.h"

static void cost(const route_case *c, double cost[ROUTE_COUNT])
{
    cost[ROUTE_WEIGHT] = route_dense(c, c->input_gradient) + kronecker_weight_cost(c);
    cost[ROUTE_ACTIVATION] = route_frozen(c) + route_rotation(c, c->rows);
}

static soda_id append(soda_graph *g, const soda_layer *l, route_kind route, const method_nodes *at)
{
    (void)l;
    if (route == ROUTE_ACTIVATION)
        return graph_linear(g, graph_kron_rotate(g, at->x, at->tensor, false), at->w, at->b);
    return method_product(g, at->x, graph_kron_rotate(g, at->w, at->tensor, true), at->b);
}

static soda_status merge(const soda_layer *layer, method_values values, double *W)
{
    TRY(merge_read_wide(layer, W));
    return kronecker_rotate(layer, values, W);
}

const soda_method method_rotation = {
    .name = "rotation",
    .keys = KRONECKER_KEYS,
    .tensors = (const method_tensor *const[]){&kronecker_R1, &kronecker_R2, &kronecker_R3, NULL},
    KRONECKER_PARTS,
    .routes = 1u << ROUTE_WEIGHT | 1u << ROUTE_ACTIVATION,
    .cost = cost,
    .append = append,
    .merge = merge,
};
