/* method.h: what the rest of the program asks of an adapter method.
 *
 * A method is a row of methods.def and one file that fills a soda_method. Configuration, training,
 * files, merging and inspection walk these structs; none of them knows which methods there are. */
#pragma once

#include "adapter/factorize.h"
#include "adapter/factors.h"
#include "adapter/route.h"
#include "graph/graph.h"

enum { METHOD_TENSORS = 4, METHOD_BASES = 3, METHOD_SIZES = 3 }; /* at most, of any method */

/* Which optimizer steps a tensor. */
typedef enum {
    METHOD_ROTATION, /* square and orthogonal: a Stiefel step (optim/stiefel.h) */
    METHOD_SPECTRUM, /* AdamW (optim/adamw.h) */
} method_class;

/* The keys of the section `adapter` that are not about every method. */
typedef struct {
    factors_choice factors;
    double delta_init;
} method_options;

/* A trainable tensor that each layer has. `i` is its index among the method's tensors. */
typedef struct {
    const char *leaf; /* its name is that of the layer, a dot, and this: "soda.R1" */
    method_class class;
    soda_shape (*shape)(const soda_layer *layer, int i);
    void (*start)(const method_options *options, const soda_shape *shape, float *values);
} method_tensor;

/* Values of a layer's tensors, fp32, in the order of the method's. */
typedef const float *const *method_values;

/* The layer's place in a graph: x [..,n], w = W0 [m,n], b [m] or NO_VALUE, the trainable tensors.
 */
typedef struct {
    soda_id x, w, b, tensor[METHOD_TENSORS];
} method_nodes;

struct soda_method {
    const char *name; /* as in adapter.method, adapter files and checkpoints */

    /* Keys (and sections) of a configuration that some methods have and this one does, with one
     * space between them. */
    const char *keys;

    const method_tensor *const *tensors; /* ends with NULL */

    /* Frozen bases of W0, fp32; NULL: none. */
    const factorize_kind *bases;

    /* Fills what a layer has besides m and n from the options. NULL: nothing. */
    soda_status (*choose)(const method_options *options, soda_layer *layer);

    /* The same from the shapes of a file's tensors. n of the layer is 0 if there is no model to
     * ask, and is then found too. Returns -1, or the index of a tensor that cannot be, with what
     * was expected and found in `text`. NULL: nothing to fill. */
    int (*fit)(const soda_shape *shape, soda_layer *layer, char *text, size_t size);

    /* What choose and fit fill, as numbers for people; returns how many. sizes_key names them in
     * the metadata of adapter files, sizes_text in `soda inspect`. NULL: there are none. */
    int (*sizes)(const soda_layer *layer, int64_t sizes[METHOD_SIZES]);
    const char *sizes_key, *sizes_text;

    /* The ways to compute a layer (a bit for each route_kind), what each costs, and its nodes:
     * y [..,m] in x's type. What depends on weights and tensors alone is computed in fp32 and cast
     * once. All routes give the same y and gradients, up to rounding. */
    unsigned routes;
    void (*cost)(const route_case *c, double cost[ROUTE_COUNT]);
    soda_id (*append)(soda_graph *graph, const soda_layer *layer, route_kind route,
                      const method_nodes *nodes);

    /* W [m,n], row-major in fp64, from W0 and bases with data, which several threads may read. */
    soda_status (*merge)(const soda_layer *layer, method_values values, double *W);

    /* Singular values [k] of W, in any order (NULL values: of W0), and the angles [n] of its
     * rotation with the distances of up to three factors from orthogonal, as spectrum.h says. NULL:
     * those of the merged W; all zero. */
    soda_status (*sigma)(const soda_layer *layer, method_values values, float *sigma);
    soda_status (*angles)(const soda_layer *layer, method_values values, float *angles,
                          double orthogonality[3]);
};

/* One linear layer with an adapter. */
struct soda_layer {
    const char *name; /* module path with the component: "unet.mid_block. ... .to_q" */
    const soda_method *method;
    int64_t m, n;                    /* out and in features; k = min(m,n) */
    int64_t factor[3];               /* of kronecker.h */
    soda_weight w0;                  /* [m,n] */
    soda_weight basis[METHOD_BASES]; /* their data is set before the layer is appended */
    int64_t rows;                    /* of x in the graph it was last met in (layers.h), */
    route_choice route;              /* and the way it is computed there */
};

#define METHOD(name) extern const soda_method method_##name;
#include "adapter/methods.def"
#undef METHOD

/* "soda_svd | soda_lq": the choices of adapter.method behind the first METHOD_JOINT bytes. */
extern const char method_choices[];
enum { METHOD_JOINT = 3 };
#define METHOD_DEFAULT "soda_svd"

/* Row i of methods.def, NULL behind the last one; the method called `name`, NULL if there is none.
 */
const soda_method *method_at(int i);
const soda_method *method_find(const char *name);

/* "soda_svd or soda_lq", for messages; returns text. */
char *method_list(char *text, size_t size);

/* Whether the key `name` of a configuration means something to the method. */
bool method_has_key(const soda_method *method, const char *name);

int method_tensors(const soda_method *method);
bool method_has(const soda_method *method, method_class class); /* a tensor of it */

/* "LAYER.soda.R1"; returns text. */
char *method_tensor_name(const soda_layer *layer, int i, char *text, size_t size);
soda_shape method_tensor_shape(const soda_layer *layer, int i);

/* Degrees of freedom of a tensor: its numbers, or n (n - 1) / 2 of a rotation of side n. */
int64_t method_freedom(const method_tensor *tensor, const soda_shape *shape);

/* Fits the layer to tensors of these shapes: see soda_method.fit. m and n are those of a model's
 * layer, or both 0. */
int method_fit(const soda_shape *shape, soda_layer *layer, char *text, size_t size);

int method_bases(const soda_method *method);

/* Appends the layer's tensors to the graph, then its nodes. */
soda_id method_append(soda_graph *graph, const soda_layer *layer, route_kind route, soda_id x,
                      soda_id w, soda_id b);

/* y = x W' + b with a computed W, cast to the type of x if it has another. */
soda_id method_product(soda_graph *graph, soda_id x, soda_id W, soda_id b);

static inline int64_t method_rank(const soda_layer *layer)
{
    return layer->m < layer->n ? layer->m : layer->n;
}
