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

/* When sampling, W stays as it is for all runs: what makes it costs nothing. */
static void cost(const route_case *c, double cost[ROUTE_COUNT])
{
    const double Ws = c->training ? spectral_weight_cost(c) : 0;
    const double x = route_rotation(c, c->rows), w = route_rotation(c, c->layer->m);
    cost[ROUTE_WEIGHT] = route_dense(c, c->input_gradient) + Ws + (c->training ? w : 0);
    cost[ROUTE_ACTIVATION] = route_dense(c, true) + x + Ws; /* R needs dz, whatever x needs */
    cost[ROUTE_FACTORED] = spectral_factored_cost(c) + x;
}

static soda_id append(soda_graph *graph, const soda_layer *layer, route_kind route,
                      const method_nodes *at)
{
    const soda_id delta = at->tensor[DELTA];
    if (route == ROUTE_WEIGHT) {
        const soda_id Ws = spectral_weight(graph, layer, delta);
        const soda_id W = graph_kron_rotate(graph, Ws, at->tensor, true);
        return graph_linear(graph, at->x, spectral_cast(graph, W, at->x), at->b);
    }
    const soda_id z = graph_kron_rotate(graph, at->x, at->tensor, false);
    if (route == ROUTE_FACTORED) return spectral_factored(graph, layer, z, delta, at->b);
    const soda_id Ws = spectral_weight(graph, layer, delta);
    return graph_linear(graph, z, spectral_cast(graph, Ws, at->x), at->b);
}

static soda_status merge(const soda_layer *layer, method_values values, double *W)
{
    TRY(spectral_merge(layer, values[DELTA], W));
    return kronecker_rotate(layer, values, W);
}

static soda_status sigma(const soda_layer *layer, method_values values, float *sigma)
{
    spectral_values(layer, values ? values[DELTA] : NULL, sigma);
    return SODA_OK;
}

const soda_method method_soda_svd = {
    .name = "soda_svd",
    .keys = KRONECKER_KEYS " " SPECTRAL_KEYS,
    .tensors = tensors,
    .bases = &factorize_kind_svd,
    KRONECKER_SIZES,
    .routes = 1u << ROUTE_WEIGHT | 1u << ROUTE_ACTIVATION | 1u << ROUTE_FACTORED,
    .cost = cost,
    .append = append,
    .merge = merge,
    .sigma = sigma,
    .angles = kronecker_angles,
};
