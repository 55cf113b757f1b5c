/* layers.h: the adapted layers of a model, component by component.
 *
 * A dry build of the networks with layers_collect finds them. Their bases are then computed or
 * loaded (the caller's work: adapter reads and writes no files), and every graph after that is
 * built with layers_append. Both are hooks of model/builder.h. */
#pragma once

#include "adapter/factors.h"
#include "adapter/soda.h"
#include "adapter/targets.h"

typedef struct soda_layers soda_layers;

/* `targets` and the map of `factors` must outlive the result. */
soda_status layers_create(soda_method method, const soda_targets *targets, factors_choice factors,
                          soda_layers **layers);
void layers_destroy(soda_layers *layers); /* NULL is fine */

/* In the order in which they were found. A layer's basis[i].source.data is the caller's to set. */
int layers_count(const soda_layers *layers);
soda_layer *layers_at(soda_layers *layers, int index);
soda_layer *layers_find(soda_layers *layers, const char *name); /* NULL: no such layer */

/* Trainable numbers: as stored (the squares of the factors, and delta), and degrees of freedom
 * (a rotation of side n has n (n - 1) / 2). */
int64_t layers_stored(const soda_layers *layers);
int64_t layers_freedom(const soda_layers *layers);

/* What the hooks get as their context: one component of the model. */
typedef struct {
    soda_layers *layers;
    const char *prefix; /* "unet.": before every path */
    bool training;      /* which costs decide the route: see route.h */
} layers_place;

/* Notes the layer at `path` if it is a target, with its factors and the route it would take; always
 * leaves it to be built as it is. A layer met twice is noted once. */
soda_id layers_collect(void *place, soda_graph *graph, const char *path, soda_id x, soda_id w,
                       soda_id b);

/* Appends the adapted layer if it was collected. */
soda_id layers_append(void *place, soda_graph *graph, const char *path, soda_id x, soda_id w,
                      soda_id b);
