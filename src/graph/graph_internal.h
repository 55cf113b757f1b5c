/* graph_internal.h: what the files of this room share. */
#pragma once

#include "graph/graph.h"

struct soda_graph {
    soda_dtype compute;
    soda_value *values;
    soda_node *nodes;
    int value_count, value_room;
    int node_count, node_room;
    soda_id *slots; /* [slot_count] hash table of the values with names; NO_VALUE: free */
    int slot_count, named;
    int segment;
    bool in_backward, rebuilds;
    soda_status status; /* the first failure, kept with its message */
    char *message;
};

/* The value whose memory `id` uses: follows views. */
soda_id graph_root(const soda_graph *graph, soda_id id);

static inline bool is_float(soda_dtype dtype) { return dtype != SODA_I32; }

/* Statistics, losses and factor gradients are fp32, or fp64 in an fp64 graph. */
static inline soda_dtype wide_type(soda_dtype dtype)
{
    return dtype == SODA_F64 ? SODA_F64 : SODA_F32;
}
