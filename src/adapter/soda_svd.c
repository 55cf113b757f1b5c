/* soda_svd.c: SODA with the thin SVD W0 = U diag(s) Vh.          Zhang et al., arXiv:2405.21050
 *
 *     W = Ws R',  Ws = U diag(relu(s + delta)) Vh
 *
 *     weight       W = Ws R', y = x W' + b
 *     activation   z = x R, y = z Ws' + b
 *     factored     z = x R, h = z Vh', y = (h relu(s + delta)) U' + b */
#include "adapter/kronecker.h"
#include "adapter/spectral.h"

enum { DELTA = 3 };
static const method_tensor *const tensors[] = {&kronecker_R1, &kronecker_R2, &kronecker_R3,
                                               &spectral_delta, NULL};

static void cost(const route_case *c, double cost[ROUTE_COUNT])
{
    const double Ws = spectral_weight_cost(c), x = route_rotation(c, c->rows);
    cost[ROUTE_WEIGHT] = route_dense(c, c->input_gradient) + Ws + kronecker_weight_cost(c);
    cost[ROUTE_ACTIVATION] = route_dense(c, true) + x + Ws; /* R needs dz, whatever x needs */
    cost[ROUTE_FACTORED] = spectral_factored_cost(c) + x;
}

static soda_id append(soda_graph *graph, const soda_layer *layer, route_kind route,
                      const method_nodes *at)
{
    const soda_id delta = at->tensor[DELTA];
    if (route == ROUTE_WEIGHT) {
        const soda_id Ws = spectral_weight(graph, layer, delta);
        return method_product(graph, at->x, graph_kron_rotate(graph, Ws, at->tensor, true), at->b);
    }
    const soda_id z = graph_kron_rotate(graph, at->x, at->tensor, false);
    if (route == ROUTE_FACTORED) return spectral_factored(graph, layer, z, delta, at->b);
    return method_product(graph, z, spectral_weight(graph, layer, delta), at->b);
}

static soda_status merge(const soda_layer *layer, method_values values, double *W)
{
    TRY(spectral_merge(layer, values, W));
    return kronecker_rotate(layer, values, W);
}

const soda_method method_soda_svd = {
    .name = "soda_svd",
    .keys = KRONECKER_KEYS " " SPECTRAL_KEYS,
    .tensors = tensors,
    KRONECKER_PARTS,
    SPECTRAL_PARTS,
    .routes = 1u << ROUTE_WEIGHT | 1u << ROUTE_ACTIVATION | 1u << ROUTE_FACTORED,
    .cost = cost,
    .append = append,
    .merge = merge,
};
