/* one_node.h: one node of a graph, alone, on random operands: how long it takes. */
#pragma once

#include "backend/backend.h"
#include "graph/graph.h"

typedef struct {
    double run_s;        /* of the faster of two runs, or of one that takes long */
    double pack_s;       /* of making the forms of its weights */
    size_t packed_bytes; /* of these forms */
} one_node_time;

/* `weights` has every weight: model/random_weights.h. */
soda_status one_node_measure(const soda_graph *graph, int node, soda_weight_source *weights,
                             const soda_backend *backend, one_node_time *time);
