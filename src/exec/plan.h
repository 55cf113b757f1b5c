/* plan.h: which nodes run, and where every activation lives. */
#pragma once

#include "graph/graph_internal.h"

typedef struct {
    bool *alive;     /* by node: an output depends on it */
    bool *elsewhere; /* by value: set by the caller before plan_memory for roots that have memory */
    size_t *offset;  /* by value: byte offset in the arena; SIZE_MAX: weights, dead, elsewhere */
    size_t *scratch_offset; /* by node */
    size_t bytes;           /* of the arena */
    size_t alignment;       /* of every offset */
} soda_plan;

/* Marks the nodes that outputs depend on. Call first; the rest is filled by plan_memory. */
soda_status plan_create(const soda_graph *graph, size_t alignment, soda_plan *plan);

/* Gives every value with memory an offset such that no two that live at the same time overlap.
 * scratch_bytes[n] lives during node n only. Inputs, params, outputs, and those results of the
 * prologue that other nodes read live always. */
soda_status plan_memory(const soda_graph *graph, const size_t *scratch_bytes, soda_plan *plan);

void plan_destroy(soda_plan *plan);
