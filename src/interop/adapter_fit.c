#include "interop/adapter_fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The context of the builder's hook: layers.h's, and the adapter that decides. */
typedef struct {
    layers_place place;
    adapter_fit *fit;
} fit_place;

/* A layer that is found gets the sizes that the adapter has for it. */
static soda_status size_layer(void *context, soda_layer *layer)
{
    const soda_adapter *a = context;
    const adapter_layer *l = adapter_find(a, layer->name);
    char text[256];
    const int wrong = method_fit(l->shape, layer, text, sizeof text);
    if (wrong < 0) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: tensor %s.%s: %s", a->file, l->name,
                a->method->tensors[wrong]->leaf, text);
}

soda_status adapter_fit_create(const soda_adapter *adapter, adapter_fit *fit)
{
    static const char *const every = "."; /* the hook asks for the adapter's layers only */
    soda_status s = SODA_OK;
    *fit = (adapter_fit){.adapter = adapter};
    fit->found = calloc((size_t)adapter->count, sizeof *fit->found);
    if (!fit->found) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", adapter->file);
        goto failed;
    }
    TRY_TO(failed, targets_create(&every, 1, &fit->targets));
    TRY_TO(failed,
           layers_create(adapter->method, fit->targets, &(method_options){0}, &fit->layers));
    layers_size_by(fit->layers, size_layer, (void *)adapter);
    return SODA_OK;
failed:
    adapter_fit_destroy(fit);
    return s;
}

void adapter_fit_destroy(adapter_fit *fit)
{
    layers_destroy(fit->layers);
    targets_destroy(fit->targets);
    free(fit->found);
    *fit = (adapter_fit){0};
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
    at->fit->found[l - a->layers] = true;
    return layers_collect(&at->place, graph, path, x, w, b);
}

soda_status adapter_fit_component(adapter_fit *fit, const soda_folder *folder,
                                  folder_component component, soda_weight_source *source, int64_t h,
                                  int64_t w, int64_t tokens, const price_table *prices)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s.", folder_component_name(component));
    fit_place at = {{fit->layers, prefix, true, prices}, fit};
    soda_builder b = {.source = source, .adapt = collect, .adapt_context = &at};
    TRY(graph_create(SODA_F32, &b.graph));
    const soda_status s = folder_build(folder, component, &b, h, w, tokens);
    graph_destroy(b.graph);
    return s;
}

soda_status adapter_fit_model(adapter_fit *fit, const soda_folder *folder, int64_t h, int64_t w,
                              int64_t tokens, const price_table *prices)
{
    folder_component list[ADAPTER_COMPONENTS];
    const int count = adapter_components(folder, list);
    for (int i = 0; i < count; i++) {
        folder_weights weights;
        if (!adapter_touches(fit->adapter, list[i])) continue;
        TRY(folder_weights_open(folder, list[i], &weights));
        const soda_status s =
            adapter_fit_component(fit, folder, list[i], weights.source, h, w, tokens, prices);
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

/* What the key and value projections of cross-attention take: the width of text states. 0 if the
 * adapter has no such layer. */
static int64_t text_width(const soda_adapter *a)
{
    for (int i = 0; i < a->count; i++) {
        const char *name = a->layers[i].name;
        if (!strncmp(name, "unet.", 5) && strstr(name, ".attn2.to_k"))
            return adapter_layer_sizes(a, &a->layers[i]).n;
    }
    return 0;
}

/* The models that are known by this width. */
static const char *family(int64_t width)
{
    return width == 768    ? ", as in SD 1.x"
           : width == 1024 ? ", as in SD 2.x"
           : width == 2048 ? ", as in SDXL"
                           : "";
}

/* A misfit is a detail: in front of it goes which model the adapter was made for, unless it is this
 * one, and its file is damaged. */
static soda_status name_origin(const soda_adapter *a, const soda_folder *folder, soda_status s)
{
    const int64_t width = text_width(a), have = folder->unet.context;
    if (s != SODA_ERR_INPUT) return s;
    if (width > 0 && width != have)
        return status_prefix(
            s,
            "this adapter was made for a model whose text states have width %lld%s; "
            "those of %s have width %lld%s",
            (long long)width, family(width), folder->root, (long long)have, family(have));
    if (!a->base_sha256[0]) return s;
    status_slot misfit = {0};
    status_keep(&misfit, s);
    const bool is_other = adapter_check_base(a, folder) == SODA_ERR_INPUT;
    s = status_take(&misfit);
    if (!is_other) return s;
    return status_prefix(s, "this adapter was made for another model, with base_model_sha256 %s",
                         a->base_sha256);
}

soda_status adapter_fit_check(const soda_adapter *adapter, const soda_folder *folder)
{
    adapter_fit fit;
    TRY(adapter_fit_create(adapter, &fit));
    soda_status s = adapter_fit_model(&fit, folder, 1, 1, 1, NULL);
    for (int i = 0; s == SODA_OK && i < adapter->count; i++)
        if (!fit.found[i])
            s = FAIL(SODA_ERR_INPUT,
                     "%s: tensor %s.%s: expected a linear layer of the model, but %s has no such "
                     "layer",
                     adapter->file, adapter->layers[i].name, adapter->method->tensors[0]->leaf,
                     folder->root);
    adapter_fit_destroy(&fit);
    return s == SODA_OK ? adapter_check_base(adapter, folder) : name_origin(adapter, folder, s);
}
