/* node_call.h: one node of a graph alone, on memory of its own that nobody has written. */
#pragma once

#include "backend/backend.h"
#include "graph/graph.h"

enum { NODE_CALL_LABEL = 200 };

/* Operator, types and shapes of its inputs: nodes with the same label do the same. */
void node_call_describe(const soda_graph *graph, const soda_node *node,
                        char label[NODE_CALL_LABEL]);

/* What is done with a kernel that is prepared, and whose call has its memory. */
typedef soda_status node_call_use(const soda_kernel *kernel, soda_call *call, void *context);

/* Prepares the node on the tested backend, uses it, and frees all. */
soda_status node_call_make(const soda_graph *graph, const soda_node *node, node_call_use *use,
                           void *context);
