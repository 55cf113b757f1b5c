/* layers.h: the adapted layers of a model, component by component.
 *
 * A dry build of the networks with layers_collect finds them. Their bases are then computed or
 * loaded (the caller's work: adapter reads and writes no files), and every graph after that is
 * built with layers_append. Both are hooks of model/builder.h. */
#pragma once

#include "adapter/method.h"
#include "adapter/targets.h"

typedef struct soda_layers soda_layers;

/* `targets` and the map of options->factors must outlive the result. */
soda_status layers_create(const soda_method *method, const soda_targets *targets,
                          const method_options *options, soda_layers **layers);

/* From now on `size` fills what a layer that is found has besides m and n, instead of the options:
 * for layers that a file describes. */
typedef soda_status (*layers_sizer)(void *context, soda_layer *layer);
void layers_size_by(soda_layers *layers, layers_sizer size, void *context);
void layers_destroy(soda_layers *layers); /* accepts NULL */

/* In the order in which they were found. A layer's basis[i].source.data is the caller's to set. */
const soda_method *layers_method(const soda_layers *layers);
int layers_count(const soda_layers *layers);
soda_layer *layers_at(soda_layers *layers, int index);
soda_layer *layers_find(soda_layers *layers, const char *name); /* NULL: no such layer */

/* Degrees of freedom of all trainable tensors (method.h). */
int64_t layers_freedom(const soda_layers *layers);

/* What the hooks get as their context: one component of the model. */
typedef struct {
    soda_layers *layers;
    const char *prefix;        /* "unet.": before every path */
    bool training;             /* which costs decide the route: see route.h, */
    const price_table *prices; /* and at which prices; NULL: no route is chosen */
} layers_place;

/* Notes the layer at `path` if it is a target, with its sizes and the route it would take; always
 * leaves it to be built as it is. A layer met twice is noted once. */
soda_id layers_collect(void *place, soda_graph *graph, const char *path, soda_id x, soda_id w,
                       soda_id b);

/* Appends the adapted layer if it was collected. */
soda_id layers_append(void *place, soda_graph *graph, const char *path, soda_id x, soda_id w,
                      soda_id b);
