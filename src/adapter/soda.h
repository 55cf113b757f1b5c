/* soda.h: one linear layer with a SODA adapter, as graph nodes.      Zhang et al., arXiv:2405.21050
 *
 * y = x W' + b with W = Ws R': R = (R1 x R2) x R3 rotates the inputs, delta shifts the spectrum,
 * everything else is frozen. Formulas: route.h. Trainable: four params, named after the layer. */
#pragma once

#include "adapter/route.h"
#include "graph/graph.h"

/* The trainable tensors of a layer, in the order of every list of them. */
enum { SODA_R1, SODA_R2, SODA_R3, SODA_DELTA, SODA_PARAMS };

typedef struct {
    const char *name; /* module path with the component: "unet.mid_block. ... .to_q" */
    soda_method method;
    int64_t m, n; /* out and in features; k = min(m,n) */
    int64_t factor[3];
    soda_weight w0; /* [m,n] */
    /* Frozen bases, fp32. SVD: U [m,k], s [k], Vh [k,n]. LQ: Q [k,n], diag(L) [k] (not used by the
     * graph). Their data is set before soda_append and outlives the graph. */
    soda_weight basis[3];
    int bases;
    /* Of the graph it was last met in (layers.h): rows of x, and the way it is computed. */
    int64_t rows;
    route_choice route;
} soda_layer;

/* "NAME.soda.R1" .. "NAME.soda.delta"; returns text. */
char *soda_param_name(const soda_layer *layer, int param, char *text, size_t size);
soda_shape soda_param_shape(const soda_layer *layer, int param);

/* The value a param starts with: the identity, or delta_init everywhere. */
void soda_param_init(const soda_layer *layer, int param, float delta_init, float *values);

/* Shape of basis i: "U", "s", "Vh" or "Q", "diagonal"; *leaf gets that name, unless NULL. */
soda_shape soda_basis_shape(const soda_layer *layer, int basis, const char **leaf);

/* Appends the layer: x [..,n] -> y [..,m] in x's type. w is W0 in the graph (LQ computes with it),
 * b [m] or NO_VALUE. What depends on weights and params alone is computed in fp32 and cast once. */
soda_id soda_append(soda_graph *graph, const soda_layer *layer, route_kind route, soda_id x,
                    soda_id w, soda_id b);
