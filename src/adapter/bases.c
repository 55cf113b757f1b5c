#include "adapter/bases.h"

#include <stdlib.h>
#include <string.h>

#include "adapter/merge.h"
#include "core/log.h"
#include "core/pulse.h"
#include "io/array_cache.h"
#include "io/shared_arrays.h"
#include "io/spread_arrays.h"

_Static_assert((int)METHOD_BASES <= (int)SHARED_ARRAYS, "a layer's bases are one item");

struct soda_bases {
    shared_arrays list; /* an item per layer */
};

/* Makes the bases of layer `index`, and puts them into the cache. */
static soda_status make(soda_layers *layers, shared_arrays *list, int index)
{
    const soda_layer *layer = layers_at(layers, index);
    const factorize_kind *kind = layer->method->bases;
    float *w0 = malloc((size_t)(layer->m * layer->n) * sizeof *w0), *basis[METHOD_BASES] = {NULL};
    bool whole = w0 != NULL;
    soda_status s = SODA_OK;
    for (int i = 0; i < kind->count; i++) {
        const soda_shape shape = kind->shape(layer->m, layer->n, i);
        basis[i] = malloc((size_t)shape_count(&shape) * sizeof(float));
        whole = whole && basis[i];
    }
    if (!whole) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for its factorisation", layer->w0.name);
        goto done;
    }
    TRY_TO(done, status_prefix(merge_read_weight(&layer->w0, w0), "%s", layer->w0.name));
    TRY_TO(done, status_prefix(kind->compute(w0, layer->m, layer->n, basis), "%s", layer->w0.name));
    TRY_TO(done, shared_arrays_put(list, index, (const float *const *)basis, true));
done:
    for (int i = 0; i < METHOD_BASES; i++) free(basis[i]);
    free(w0);
    return s;
}

static soda_status make_all(soda_layers *layers, shared_arrays *list, const int *missing, int count)
{
    status_slot slot = {0};
    log_progress progress;
    int64_t done = 0;
    if (count > 0) factorize_prepare();
    log_progress_start(&progress, "factorise", 0, count);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < count; i++) {
        if (status_kept(&slot)) continue;
        status_keep(&slot, make(layers, list, missing[i]));
        pulse_beat();
#pragma omp critical(bases)
        log_progress_update(&progress, ++done, "");
    }
    return status_take(&slot);
}

/* Makes those bases of this rank's layers, each size-th, that no rank found. Local. */
static soda_status prepare(soda_layers *layers, shared_arrays *list, const soda_comm *comm)
{
    int count = 0, *missing = malloc(((size_t)list->count + 1) * sizeof *missing);
    if (!missing) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of layers");
    for (int64_t i = comm->rank; i < list->count; i += comm->size)
        if (shared_arrays_absent(list, i)) missing[count++] = (int)i;
    const soda_status s = make_all(layers, list, missing, count);
    free(missing);
    return s;
}

/* The list, with the layers' shapes and this rank's share of their keys. Local. */
static soda_status describe(soda_layers *layers, const soda_comm *node, const char *folder,
                            shared_arrays *list)
{
    const factorize_kind *kind = layers_method(layers)->bases;
    const int arrays = method_bases(layers_method(layers));
    const int count = kind ? layers_count(layers) : 0;
    status_slot slot = {0};
    char name[32] = "";
    if (kind) factorize_name(kind, name, sizeof name);
    TRY(shared_arrays_create("factors", folder, count, arrays, list));
    for (int b = 0; kind && b < arrays; b++) list->name[b] = kind->leaf[b];
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < count; i++) {
        const soda_layer *layer = layers_at(layers, i);
        shared_arrays_item *item = &list->items[i];
        for (int b = 0; b < arrays; b++) item->shape[b] = kind->shape(layer->m, layer->n, b);
        if (i % node->size != node->rank) continue;
        status_keep(&slot,
                    array_cache_weight_key(&layer->w0.source, name, FACTORIZE_VERSION, item->key));
    }
    return status_take(&slot);
}

/* Puts the keys that the ranks of a node made together. Collective over `comm`. */
static soda_status share_keys(soda_comm *comm, shared_arrays *list)
{
    enum { WORDS = (SHA256_HEX - 1) / sizeof(int64_t) };
    int64_t(*keys)[WORDS] = calloc((size_t)list->count + 1, sizeof *keys);
    soda_status s = keys ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for keys");
    s = comm_agree(comm, s);
    if (s != SODA_OK || !keys) goto done; /* which failed everywhere, then */
    for (int64_t i = 0; i < list->count; i++) memcpy(keys[i], list->items[i].key, sizeof keys[i]);
    TRY_TO(done, comm->node->sum_i64(comm->node, keys[0], list->count * WORDS));
    for (int64_t i = 0; i < list->count; i++) memcpy(list->items[i].key, keys[i], sizeof keys[i]);
done:
    free(keys);
    return s;
}

static void point_layers(soda_layers *layers, const shared_arrays *list)
{
    for (int i = 0; i < layers_count(layers); i++) {
        soda_layer *layer = layers_at(layers, i);
        for (int b = 0; b < method_bases(layer->method); b++) {
            layer->basis[b].mapped = list->items[list->items[i].first].set != NULL;
            layer->basis[b].source.data = (void *)shared_arrays_data(list, i, b);
        }
    }
}

/* Collective. */
static soda_status open_list(soda_layers *layers, soda_comm *comm, const char *folder,
                             soda_bases *b)
{
    soda_status s = SODA_OK;
    if (!b) s = FAIL(SODA_ERR_MEMORY, "out of memory for the bases of adapters");
    if (b && s == SODA_OK) s = describe(layers, comm->node, folder, &b->list);
    TRY(comm_agree(comm, s));
    if (!b) return SODA_ERR_MEMORY; /* comm_agree said so */
    TRY(share_keys(comm, &b->list));
    return comm_agree(comm, shared_arrays_link(&b->list));
}

soda_status bases_load(soda_layers *layers, soda_comm *comm, const char *folder, soda_bases **bases)
{
    soda_bases *b = *bases = calloc(1, sizeof *b);
    soda_status s;
    TRY_TO(failed, open_list(layers, comm, folder, b));
    TRY_TO(failed, spread_arrays(&b->list, comm));
    TRY_TO(failed, comm_agree(comm, prepare(layers, &b->list, comm)));
    TRY_TO(failed, spread_arrays(&b->list, comm));
    point_layers(layers, &b->list);
    return SODA_OK;
failed:
    bases_destroy(b);
    *bases = NULL;
    return s;
}

void bases_destroy(soda_bases *bases)
{
    if (!bases) return;
    shared_arrays_destroy(&bases->list);
    free(bases);
}
