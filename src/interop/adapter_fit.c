#include "interop/adapter_fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The context of the builder's hook: layers.h's, and the adapter that decides. */
typedef struct {
    layers_place place;
    adapter_fit *fit;
} fit_place;

/* One entry for each width, of the first layer that has it. */
static int list_factors(const soda_adapter *adapter, factors_entry *map)
{
    int entries = 0;
    for (int i = 0; i < adapter->count; i++) {
        const adapter_layer *l = &adapter->layers[i];
        int e = 0;
        while (e < entries && map[e].width != l->n) e++;
        if (e < entries) continue;
        map[entries].width = l->n;
        memcpy(map[entries++].n, l->factor, sizeof l->factor);
    }
    return entries;
}

soda_status adapter_fit_create(const soda_adapter *adapter, adapter_fit *fit)
{
    static const char *const every = "."; /* the hook asks for the adapter's layers only */
    soda_status s = SODA_OK;
    *fit = (adapter_fit){.adapter = adapter};
    fit->found = calloc((size_t)adapter->count, sizeof *fit->found);
    fit->map = calloc((size_t)adapter->count, sizeof *fit->map);
    if (!fit->found || !fit->map) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", adapter->file);
        goto failed;
    }
    TRY_TO(failed, targets_create(&every, 1, &fit->targets));
    const factors_choice factors = {FACTORS_BALANCED, fit->map, list_factors(adapter, fit->map)};
    TRY_TO(failed, layers_create(adapter->method, fit->targets, factors, &fit->layers));
    return SODA_OK;
failed:
    adapter_fit_destroy(fit);
    return s;
}

void adapter_fit_destroy(adapter_fit *fit)
{
    layers_destroy(fit->layers);
    targets_destroy(fit->targets);
    free(fit->map);
    free(fit->found);
    *fit = (adapter_fit){0};
}

static soda_status check_sizes(const soda_adapter *a, const adapter_layer *l,
                               const soda_shape *weight)
{
    const int64_t m = weight->dim[0], n = weight->dim[1], k = m < n ? m : n;
    if (l->n != n)
        return FAIL(SODA_ERR_INPUT,
                    "%s: tensor %s.soda.R1: with R2 and R3, expected sides that multiply to %lld "
                    "(in_features of the model's layer), found %lld x %lld x %lld",
                    a->file, l->name, (long long)n, (long long)l->factor[0],
                    (long long)l->factor[1], (long long)l->factor[2]);
    if (l->k != k)
        return FAIL(SODA_ERR_INPUT,
                    "%s: tensor %s.soda.delta: expected %lld elements (the model's layer is "
                    "[%lld,%lld]), found %lld",
                    a->file, l->name, (long long)k, (long long)m, (long long)n, (long long)l->k);
    return SODA_OK;
}

static soda_id collect(void *context, soda_graph *graph, const char *path, soda_id x, soda_id w,
                       soda_id b)
{
    fit_place *at = context;
    const soda_adapter *a = at->fit->adapter;
    char name[512];
    snprintf(name, sizeof name, "%s%s", at->place.prefix, path);
    const adapter_layer *l = adapter_find(a, name);
    if (!l) return NO_VALUE;
    const soda_status s = check_sizes(a, l, &graph_value(graph, w)->shape);
    if (s != SODA_OK) return graph_fail(graph, s);
    at->fit->found[l - a->layers] = true;
    return layers_collect(&at->place, graph, path, x, w, b);
}

soda_status adapter_fit_component(adapter_fit *fit, const soda_folder *folder,
                                  folder_component component, soda_weight_source *source, int64_t h,
                                  int64_t w, int64_t tokens, bool training)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s.", folder_component_name(component));
    fit_place at = {{fit->layers, prefix, training}, fit};
    soda_builder b = {.source = source, .adapt = collect, .adapt_context = &at};
    TRY(graph_create(SODA_F32, &b.graph));
    const soda_status s = folder_build(folder, component, &b, h, w, tokens);
    graph_destroy(b.graph);
    /* The map spoke for the width; a file may split two layers of one width differently. */
    for (int i = 0; s == SODA_OK && i < layers_count(fit->layers); i++) {
        soda_layer *layer = layers_at(fit->layers, i);
        memcpy(layer->factor, adapter_find(fit->adapter, layer->name)->factor,
               sizeof layer->factor);
    }
    return s;
}

soda_status adapter_fit_model(adapter_fit *fit, const soda_folder *folder, int64_t h, int64_t w,
                              int64_t tokens, bool training)
{
    folder_component list[ADAPTER_COMPONENTS];
    const int count = adapter_components(folder, list);
    for (int i = 0; i < count; i++) {
        folder_weights weights;
        if (!adapter_touches(fit->adapter, list[i])) continue;
        TRY(folder_weights_open(folder, list[i], &weights));
        const soda_status s =
            adapter_fit_component(fit, folder, list[i], weights.source, h, w, tokens, training);
        folder_weights_close(&weights);
        TRY(s);
    }
    for (int i = 0; i < layers_count(fit->layers); i++) {
        soda_layer *layer = layers_at(fit->layers, i);
        layer->w0.name = layer->name;
        layer->w0.source.data = NULL; /* its file was closed */
    }
    return SODA_OK;
}

soda_status adapter_fit_check(const soda_adapter *adapter, const soda_folder *folder)
{
    adapter_fit fit;
    TRY(adapter_fit_create(adapter, &fit));
    soda_status s = adapter_fit_model(&fit, folder, 1, 1, 1, false);
    for (int i = 0; s == SODA_OK && i < adapter->count; i++)
        if (!fit.found[i])
            s = FAIL(SODA_ERR_INPUT,
                     "%s: tensor %s.soda.R1: expected a linear layer of the model, but %s has no "
                     "such layer",
                     adapter->file, adapter->layers[i].name, folder->root);
    adapter_fit_destroy(&fit);
    return s == SODA_OK ? adapter_check_base(adapter, folder) : s;
}
