/* soda_lq.c: SODA with the thin LQ W0 = L Q, whose diagonal is shifted: (L + diag(delta)) Q is
 * W0 + diag(delta) Q, on the first k rows, so L is not needed.   Zhang et al., arXiv:2405.21050
 *
 *     W = Ws R',  Ws = W0 + diag(delta) Q
 *
 *     weight       W = Ws R', y = x W' + b
 *     activation   z = x R, y = z Ws' + b
 *     factored     z = x R, y = z W0' + b + (z Q') diag(delta): no gradient of a weight either */
#include <stdlib.h>

#include "adapter/kronecker.h"
#include "adapter/merge.h"
#include "adapter/spectral.h"
#include "adapter/spectrum.h"

enum { DELTA = 3 };
static const method_tensor *const tensors[] = {&kronecker_R1, &kronecker_R2, &kronecker_R3,
                                               &spectral_delta, NULL};

/* Passes over [m,n] in fp32: Ws reads two and writes one, its gradient reads two again. */
static double weight_cost(const route_case *c)
{
    if (!c->training) return 0; /* made once for all runs */
    return route_bytes(c, 5.0 * 4 * (double)c->layer->m * (double)c->layer->n);
}

/* Two products and their input gradients. Passes: h is added to y; dh and ddelta are made of dy and
 * h, and the two parts of dz are added. */
static double factored_cost(const route_case *c)
{
    const double m = (double)c->layer->m, n = (double)c->layer->n, k = m < n ? m : n;
    const double rows = (double)c->rows, element = (double)dtype_bytes(c->compute);
    const double passes = 2 * m + k + (c->training ? 3 * k + 3 * n : 0);
    return route_frozen(c) + (c->training ? 4 : 2) * rows * n * k +
           route_bytes(c, rows * passes * element);
}

static void cost(const route_case *c, double cost[ROUTE_COUNT])
{
    const double Ws = weight_cost(c);
    cost[ROUTE_WEIGHT] = route_dense(c, c->input_gradient) + Ws + kronecker_weight_cost(c);
    cost[ROUTE_ACTIVATION] =
        route_dense(c, true) + Ws + route_rotation(c, c->rows); /* R needs dz, whatever x needs */
    cost[ROUTE_FACTORED] = factored_cost(c) + route_rotation(c, c->rows);
}

static soda_id append(soda_graph *graph, const soda_layer *layer, route_kind route,
                      const method_nodes *at)
{
    const soda_id Q = graph_weight(graph, &layer->basis[0]), delta = at->tensor[DELTA];
    const soda_id x =
        route == ROUTE_WEIGHT ? at->x : graph_kron_rotate(graph, at->x, at->tensor, false);
    if (route == ROUTE_FACTORED)
        return graph_column_scale_add(graph, graph_linear(graph, x, at->w, at->b),
                                      graph_linear(graph, x, Q, NO_VALUE), delta);
    soda_id W = graph_row_scale_add(graph, at->w, Q, delta);
    if (route == ROUTE_WEIGHT) W = graph_kron_rotate(graph, W, at->tensor, true);
    return method_product(graph, x, W, at->b);
}

/* W [m,n] = Ws, or W0 if delta is NULL */
static soda_status shifted_weight(const soda_layer *layer, const float *delta, double *W)
{
    const int64_t n = layer->n, k = method_rank(layer);
    const float *Q = layer->basis[0].source.data;
    TRY(merge_read_wide(layer, W));
    for (int64_t i = 0; delta && i < k * n; i++) W[i] += (double)delta[i / n] * (double)Q[i];
    return SODA_OK;
}

static soda_status merge(const soda_layer *layer, method_values values, double *W)
{
    TRY(shifted_weight(layer, values[DELTA], W));
    return kronecker_rotate(layer, values, W);
}

/* R leaves singular values alone. */
static soda_status sigma(const soda_layer *layer, method_values values, float *sigma)
{
    double *W = malloc((size_t)(layer->m * layer->n) * sizeof *W);
    if (!W) return spectrum_no_memory(layer);
    soda_status s = shifted_weight(layer, values ? values[DELTA] : NULL, W);
    if (s == SODA_OK) s = spectrum_of_dense(layer, W, sigma);
    free(W);
    return s;
}

const soda_method method_soda_lq = {
    .name = "soda_lq",
    .keys = KRONECKER_KEYS " " SPECTRAL_KEYS,
    .tensors = tensors,
    .bases = &factorize_kind_lq,
    KRONECKER_PARTS,
    .routes = 1u << ROUTE_WEIGHT | 1u << ROUTE_ACTIVATION | 1u << ROUTE_FACTORED,
    .cost = cost,
    .append = append,
    .merge = merge,
    .sigma = sigma,
};
