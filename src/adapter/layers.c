#include "adapter/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "unet.PATH". CLIP's modules are named as transformers before version 5 names them, whatever the
 * file does: an adapter fits both. */
static void full_name(const layers_place *place, const char *path, char name[256])
{
    const bool bare = strncmp(path, "encoder.layers.", 15) == 0;
    snprintf(name, 256, "%s%s%s", place->prefix, bare ? "text_model." : "", path);
}

/* A layer with the strings it points to. */
typedef struct {
    soda_layer layer;
    char *name, *basis_name[METHOD_BASES];
} entry;

struct soda_layers {
    const soda_method *method;
    const soda_targets *targets;
    method_options options;
    layers_sizer size; /* NULL: by the options */
    void *size_context;
    entry **entries; /* by pointer: layers stay where they are while the list grows */
    int count, room;
};

soda_status layers_create(const soda_method *method, const soda_targets *targets,
                          const method_options *options, soda_layers **layers)
{
    soda_layers *l = *layers = calloc(1, sizeof *l);
    if (!l) return FAIL(SODA_ERR_MEMORY, "out of memory");
    l->method = method;
    l->targets = targets;
    l->options = *options;
    return SODA_OK;
}

void layers_size_by(soda_layers *layers, layers_sizer size, void *context)
{
    layers->size = size;
    layers->size_context = context;
}

static void free_entry(entry *e)
{
    if (!e) return;
    for (int i = 0; i < METHOD_BASES; i++) free(e->basis_name[i]);
    free(e->name);
    free(e);
}

void layers_destroy(soda_layers *layers)
{
    if (!layers) return;
    for (int i = 0; i < layers->count; i++) free_entry(layers->entries[i]);
    free(layers->entries);
    free(layers);
}

const soda_method *layers_method(const soda_layers *layers) { return layers->method; }
int layers_count(const soda_layers *layers) { return layers->count; }
soda_layer *layers_at(soda_layers *layers, int index) { return &layers->entries[index]->layer; }

soda_layer *layers_find(soda_layers *layers, const char *name)
{
    for (int i = 0; i < layers->count; i++)
        if (strcmp(layers->entries[i]->name, name) == 0) return &layers->entries[i]->layer;
    return NULL;
}

int64_t layers_freedom(const soda_layers *layers)
{
    int64_t sum = 0;
    for (int i = 0; i < layers->count; i++) {
        const soda_layer *l = &layers->entries[i]->layer;
        for (int t = 0; l->method->tensors[t]; t++) {
            const soda_shape shape = method_tensor_shape(l, t);
            sum += method_freedom(l->method->tensors[t], &shape);
        }
    }
    return sum;
}

static char *joined(const char *name, const char *middle, const char *leaf)
{
    const size_t size = strlen(name) + strlen(middle) + strlen(leaf) + 1;
    char *text = malloc(size);
    if (text) snprintf(text, size, "%s%s%s", name, middle, leaf);
    return text;
}

static soda_status size_layer(const soda_layers *layers, soda_layer *layer)
{
    if (layers->size) return layers->size(layers->size_context, layer);
    return layers->method->choose ? layers->method->choose(&layers->options, layer) : SODA_OK;
}

static soda_status add_entry(soda_layers *layers, const char *name, const soda_weight *w0)
{
    if (layers->count == layers->room) {
        const int room = layers->room ? 2 * layers->room : 64;
        entry **grown = realloc(layers->entries, (size_t)room * sizeof(entry *));
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        layers->entries = grown;
        layers->room = room;
    }
    entry *e = calloc(1, sizeof *e);
    bool whole = e && (e->name = joined(name, "", ""));
    if (whole) {
        e->layer = (soda_layer){.name = e->name,
                                .method = layers->method,
                                .m = w0->source.shape.dim[0],
                                .n = w0->source.shape.dim[1],
                                .w0 = *w0};
    }
    for (int i = 0; whole && i < method_bases(layers->method); i++) {
        const factorize_kind *kind = layers->method->bases;
        e->basis_name[i] = joined(name, ".soda.", kind->leaf[i]);
        e->layer.basis[i] = (soda_weight){
            e->basis_name[i], {SODA_F32, kind->shape(e->layer.m, e->layer.n, i), NULL}, false};
        whole = e->basis_name[i] != NULL;
    }
    const soda_status s =
        whole ? size_layer(layers, &e->layer) : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK) {
        free_entry(e);
        return s;
    }
    layers->entries[layers->count++] = e;
    return SODA_OK;
}

/* Whether x is computed by more than casts and views of a leaf. The text states are not: no
 * gradient flows to them unless the encoder that makes them is in the graph. */
static bool is_computed(const soda_graph *graph, soda_id x)
{
    for (;;) {
        const soda_value *value = graph_value(graph, x);
        if (value->view_of != NO_VALUE) {
            x = value->view_of;
            continue;
        }
        if (value->kind != VALUE_NODE) return value->kind == VALUE_PARAM;
        const soda_node *node = graph_node(graph, value->node);
        if (!(op_rows[node->op].flags & OP_CONVERTS)) return true;
        x = node->in[0];
    }
}

static void choose_route(const layers_place *place, const soda_graph *graph, soda_id x,
                         soda_layer *layer)
{
    if (!place->prices) return;
    const route_case c = {.layer = layer,
                          .rows = shape_rows(&graph_value(graph, x)->shape),
                          .training = place->training,
                          .input_gradient = is_computed(graph, x),
                          .compute = graph_compute_dtype(graph),
                          .prices = place->prices};
    layer->rows = c.rows;
    layer->route = route_choose(&c);
}

soda_id layers_collect(void *context, soda_graph *graph, const char *path, soda_id x, soda_id w,
                       soda_id b)
{
    const layers_place *place = context;
    (void)b;
    if (graph_status(graph) != SODA_OK) return NO_VALUE;
    char name[256];
    full_name(place, path, name);
    if (!targets_match(place->layers->targets, name)) return NO_VALUE;
    if (!layers_find(place->layers, name)) {
        const soda_status s = add_entry(place->layers, name, &graph_value(graph, w)->weight);
        if (s != SODA_OK) return graph_fail(graph, s);
    }
    choose_route(place, graph, x, layers_find(place->layers, name));
    return NO_VALUE;
}

soda_id layers_append(void *context, soda_graph *graph, const char *path, soda_id x, soda_id w,
                      soda_id b)
{
    const layers_place *place = context;
    if (graph_status(graph) != SODA_OK) return NO_VALUE;
    char name[256];
    full_name(place, path, name);
    soda_layer *layer = layers_find(place->layers, name);
    if (!layer) return NO_VALUE;
    for (int i = 0; i < method_bases(layer->method); i++)
        if (!layer->basis[i].source.data)
            return graph_fail(
                graph, FAIL(SODA_ERR_INTERNAL, "%s: no %s was set", name, layer->basis[i].name));
    choose_route(place, graph, x, layer);
    return method_append(graph, layer, layer->route.kind, x, w, b);
}
