/* svdiff.c: the shift alone: W = U diag(relu(s + delta)) Vh. Han et al., arXiv:2303.11305 */
#include "adapter/spectral.h"

static void cost(const route_case *c, double cost[ROUTE_COUNT])
{
    cost[ROUTE_WEIGHT] = route_dense(c, c->input_gradient) + spectral_weight_cost(c);
    cost[ROUTE_FACTORED] = spectral_factored_cost(c);
}

static soda_id append(soda_graph *g, const soda_layer *l, route_kind route, const method_nodes *at)
{
    if (route == ROUTE_FACTORED) return spectral_factored(g, l, at->x, at->tensor[0], at->b);
    return method_product(g, at->x, spectral_weight(g, l, at->tensor[0]), at->b);
}

const soda_method method_svdiff = {
    .name = "svdiff",
    .keys = SPECTRAL_KEYS,
    .tensors = (const method_tensor *const[]){&spectral_delta, NULL},
    SPECTRAL_PARTS,
    .routes = 1u << ROUTE_WEIGHT | 1u << ROUTE_FACTORED,
    .cost = cost,
    .append = append,
    .merge = spectral_merge,
};
