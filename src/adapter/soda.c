#include "adapter/soda.h"

#include <stdio.h>
#include <string.h>

static int64_t rank_of(const soda_layer *layer)
{
    return layer->m < layer->n ? layer->m : layer->n;
}

char *soda_param_name(const soda_layer *layer, int param, char *text, size_t size)
{
    static const char *const leaf[] = {"R1", "R2", "R3", "delta"};
    snprintf(text, size, "%s.soda.%s", layer->name, leaf[param]);
    return text;
}

soda_shape soda_param_shape(const soda_layer *layer, int param)
{
    if (param == SODA_DELTA) return SHAPE(rank_of(layer));
    return SHAPE(layer->factor[param], layer->factor[param]);
}

void soda_param_init(const soda_layer *layer, int param, float delta_init, float *values)
{
    const soda_shape shape = soda_param_shape(layer, param);
    const int64_t count = shape_count(&shape), n = shape.dim[0];
    for (int64_t i = 0; i < count; i++)
        values[i] = param == SODA_DELTA ? delta_init : (i % (n + 1) == 0 ? 1.0f : 0.0f);
}

soda_shape soda_basis_shape(const soda_layer *layer, int basis, const char **leaf)
{
    static const char *const names[2][3] = {
        [SODA_METHOD_SVD] = {"U", "s", "Vh"}, [SODA_METHOD_LQ] = {"Q", "diagonal", ""}};
    const int64_t k = rank_of(layer);
    if (leaf) *leaf = names[layer->method][basis];
    if (basis == 1) return SHAPE(k);
    return layer->method == SODA_METHOD_SVD && basis == 0 ? SHAPE(layer->m, k) : SHAPE(k, layer->n);
}

/* Ws [m,n] in fp32 (fp64 on an fp64 graph) */
static soda_id spectral_weight(soda_graph *graph, const soda_layer *layer, soda_id w, soda_id delta)
{
    if (layer->method == SODA_METHOD_LQ)
        return graph_row_scale_add(graph, w, graph_weight(graph, &layer->basis[0]), delta);
    const soda_id U = graph_weight(graph, &layer->basis[0]);
    const soda_id s = graph_weight(graph, &layer->basis[1]);
    const soda_id Vh = graph_weight(graph, &layer->basis[2]);
    return graph_linear_transposed(graph, graph_spectral_scale(graph, U, s, delta), Vh, NO_VALUE);
}

static soda_id in_type_of(soda_graph *graph, soda_id w, soda_id x)
{
    if (graph_status(graph) != SODA_OK) return NO_VALUE;
    const soda_dtype dtype = graph_value(graph, x)->dtype;
    return graph_value(graph, w)->dtype == dtype ? w : graph_cast(graph, w, dtype);
}

soda_id soda_append(soda_graph *graph, const soda_layer *layer, route_kind route, soda_id x,
                    soda_id w, soda_id b)
{
    soda_id param[SODA_PARAMS];
    char name[256];
    for (int p = 0; p < SODA_PARAMS; p++) {
        soda_param_name(layer, p, name, sizeof name);
        param[p] = graph_param(graph, name, soda_param_shape(layer, p));
    }
    const soda_id delta = param[SODA_DELTA];
    if (route == ROUTE_WEIGHT) {
        const soda_id Ws = spectral_weight(graph, layer, w, delta);
        const soda_id W = graph_kron_rotate(graph, Ws, param, true);
        return graph_linear(graph, x, in_type_of(graph, W, x), b);
    }
    const soda_id z = graph_kron_rotate(graph, x, param, false);
    if (route == ROUTE_ACTIVATION) {
        const soda_id Ws = spectral_weight(graph, layer, w, delta);
        return graph_linear(graph, z, in_type_of(graph, Ws, x), b);
    }
    if (layer->method != SODA_METHOD_SVD)
        return graph_fail(graph,
                          FAIL(SODA_ERR_INTERNAL, "%s: only an SVD is factored", layer->name));
    const soda_id h = graph_linear(graph, z, graph_weight(graph, &layer->basis[2]), NO_VALUE);
    const soda_id q = graph_spectral_scale(graph, h, graph_weight(graph, &layer->basis[1]), delta);
    return graph_linear(graph, q, graph_weight(graph, &layer->basis[0]), b);
}
