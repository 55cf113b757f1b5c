/* graph.h: the static graph: values, nodes, and the functions that append them.
 *
 * A builder appends nodes in the order in which they can run, so the list of nodes is the schedule.
 * Appending functions return the id of the new value. The first mistake (a shape that does not fit)
 * is kept in the graph and makes every later call return NO_VALUE at once: check graph_status at
 * the end, not after every line. */
#pragma once

#include <stdio.h>

#include "core/status.h"
#include "core/tensor.h"
#include "graph/op.h"
#include "graph/weight.h"

typedef enum {
    VALUE_INPUT,  /* written by the caller before a run, kept until overwritten */
    VALUE_PARAM,  /* like an input, and gradients are wanted */
    VALUE_WEIGHT, /* frozen, from a file */
    VALUE_NODE,   /* computed */
} soda_value_kind;

typedef struct {
    soda_value_kind kind;
    soda_dtype dtype;
    soda_shape shape;
    char *name;         /* inputs, params, weights and marked outputs; NULL otherwise */
    int node;           /* the node that computes it, or -1 */
    soda_id view_of;    /* same memory seen with another shape, or NO_VALUE */
    bool output;        /* readable after a run */
    soda_weight weight; /* VALUE_WEIGHT */
} soda_value;

typedef struct {
    soda_op op;
    soda_attr attr;
    soda_id in[SODA_MAX_INPUTS]; /* NO_VALUE: absent optional input */
    soda_id out[SODA_MAX_OUTPUTS];
    int segment;   /* recomputation unit: all nodes of one block share it */
    bool backward; /* appended by graph_differentiate */
    bool prologue; /* depends on weights and params only: runs when params change, not every time */
    bool rebuilt;  /* does so too, but runs wherever it is read: graph_rebuild_weights */
} soda_node;

/* An empty graph whose activations have type `compute` (F32 or BF16; F64 on the reference). */
soda_status graph_create(soda_dtype compute, soda_graph **graph);
void graph_destroy(soda_graph *graph);
soda_dtype graph_compute_dtype(const soda_graph *graph);

/* The type of what must not be rounded to the compute type: fp32, or fp64 in an fp64 graph. */
soda_dtype graph_wide_dtype(const soda_graph *graph);

/* SODA_OK, or the first failure of any call that appended to the graph (its message is current). */
soda_status graph_status(const soda_graph *graph);

/* Keeps `s` as the graph's failure if it is the first, and returns NO_VALUE. For builders. */
soda_id graph_fail(soda_graph *graph, soda_status s);

int graph_value_count(const soda_graph *graph);
int graph_node_count(const soda_graph *graph);
const soda_value *graph_value(const soda_graph *graph, soda_id id);
const soda_node *graph_node(const soda_graph *graph, int index);
soda_id graph_find(const soda_graph *graph, const char *name); /* NO_VALUE if there is none */

/* Leaves. Names are unique within a graph; a weight asked for twice is one value. */
soda_id graph_input(soda_graph *graph, const char *name, soda_dtype dtype, soda_shape shape);
soda_id graph_param(soda_graph *graph, const char *name, soda_shape shape); /* fp32 (F64 on F64) */
soda_id graph_weight(soda_graph *graph, const soda_weight *weight);

/* Names a value and keeps it readable after a run. */
void graph_output(soda_graph *graph, soda_id value, const char *name);

/* Nodes appended from now on belong to a new segment (a block of the network). */
void graph_next_segment(soda_graph *graph);

/* From now on, what depends on params and on matrices among the weights is no prologue: it is
 * computed every time, and again for the backward pass, instead of being kept from one change of
 * params to the next. The same bits, for more time and less memory. */
void graph_rebuild_weights(soda_graph *graph);

/* The general form behind the functions of op.h: checks and infers shapes; out[] gets every output.
 */
soda_status graph_append(soda_graph *graph, soda_op op, const soda_attr *attr, const soda_id *in,
                         int inputs, soda_id *out);

/* The same memory with another shape of equal count. */
soda_id graph_view(soda_graph *graph, soda_id x, soda_shape shape);

/* The function that appends each operator is in op.h. */

/* Appends gradient nodes of the scalar fp32 `loss` on the paths that lead to params, and marks the
 * gradient of param P as output "grad.P". A param that the loss does not depend on is an error.
 * recompute[segment], if not NULL, drops a segment's activations after the forward pass and runs
 * it again before its gradients: memory for time. graph_segment_count gives the length. */
soda_status graph_differentiate(soda_graph *graph, soda_id loss, const bool *recompute);
int graph_segment_count(const soda_graph *graph);

/* Flops and bytes moved by one node (multiply and add count as two; shapes only, no caches). */
typedef struct {
    double flops, bytes;
} soda_cost;
soda_cost graph_node_cost(const soda_graph *graph, int node);

/* The graph as text, one node per line, or as a Graphviz digraph. */
soda_status graph_dump_text(const soda_graph *graph, FILE *file);
soda_status graph_dump_dot(const soda_graph *graph, FILE *file);
