#include "adapter/spectral.h"

#include <stdlib.h>

#include "adapter/lapack.h"

static soda_shape delta_shape(const soda_layer *layer, int i)
{
    (void)i;
    return SHAPE(method_rank(layer));
}

static void delta_start(const method_options *options, const soda_shape *shape, float *values)
{
    for (int64_t i = 0; i < shape->dim[0]; i++) values[i] = (float)options->delta_init;
}

const method_tensor spectral_delta = {"soda.delta", METHOD_SPECTRUM, delta_shape, delta_start};

soda_id spectral_weight(soda_graph *graph, const soda_layer *layer, soda_id delta)
{
    const soda_id U = graph_weight(graph, &layer->basis[0]);
    const soda_id s = graph_weight(graph, &layer->basis[1]);
    const soda_id Vh = graph_weight(graph, &layer->basis[2]);
    return graph_linear_transposed(graph, graph_spectral_scale(graph, U, s, delta), Vh, NO_VALUE);
}

/* Two GEMMs of 2 m n k in fp32, and their gradients. Passes over [m,n]: U is scaled, and its
 * gradient has three more. */
double spectral_weight_cost(const route_case *c)
{
    if (!c->training) return 0; /* made once for all runs */
    const double m = (double)c->layer->m, n = (double)c->layer->n, k = m < n ? m : n;
    return route_wide(c, 4 * m * n * k) + route_bytes(c, (5 * m * k + 4 * m * n) * 4);
}

soda_id spectral_factored(soda_graph *graph, const soda_layer *layer, soda_id z, soda_id delta,
                          soda_id b)
{
    const soda_id h = graph_linear(graph, z, graph_weight(graph, &layer->basis[2]), NO_VALUE);
    const soda_id q = graph_spectral_scale(graph, h, graph_weight(graph, &layer->basis[1]), delta);
    return graph_linear(graph, q, graph_weight(graph, &layer->basis[0]), b);
}

double spectral_factored_cost(const route_case *c)
{
    const double m = (double)c->layer->m, n = (double)c->layer->n, k = m < n ? m : n;
    const double rows = (double)c->rows, element = (double)dtype_bytes(c->compute);
    return (c->training ? 4 : 2) * rows * k * (m + n) +
           route_bytes(c, (c->training ? 7 : 2) * rows * k * element);
}

static float shifted(const soda_layer *layer, const float *delta, int64_t i)
{
    const float *s = layer->basis[1].source.data;
    const float sum = delta ? s[i] + delta[i] : s[i];
    return sum > 0 ? sum : 0;
}

/* The values of delta, NULL if there are none. */
static const float *delta_in(const soda_layer *layer, method_values values)
{
    int i = 0;
    while (layer->method->tensors[i] != &spectral_delta) i++;
    return values ? values[i] : NULL;
}

soda_status spectral_merge(const soda_layer *layer, method_values values, double *W)
{
    const float *delta = delta_in(layer, values);
    const int64_t m = layer->m, n = layer->n, k = method_rank(layer);
    const float *U = layer->basis[0].source.data, *Vh = layer->basis[2].source.data;
    double *u = malloc((size_t)(m * k) * sizeof *u), *vh = malloc((size_t)(k * n) * sizeof *vh);
    if (!u || !vh) {
        free(u);
        free(vh);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    }
    for (int64_t i = 0; i < m * k; i++) u[i] = (double)shifted(layer, delta, i % k) * (double)U[i];
    for (int64_t i = 0; i < k * n; i++) vh[i] = (double)Vh[i];
    const lapack_routines *lapack;
    const soda_status status = lapack_enter(&lapack);
    if (status == SODA_OK) { /* row-major W = u vh is W' = vh' u' for LAPACK */
        lapack->product((int[]){(int)n, (int)m, (int)k}, 1, vh, u, 0, W);
        lapack_leave();
    }
    free(u);
    free(vh);
    return status;
}

soda_status spectral_sigma(const soda_layer *layer, method_values values, float *sigma)
{
    const float *delta = delta_in(layer, values);
    for (int64_t i = 0; i < method_rank(layer); i++) sigma[i] = shifted(layer, delta, i);
    return SODA_OK;
}
