/* graph_internal.h: what the files of this room share. */
#pragma once

#include "graph/graph.h"

struct soda_graph {
    soda_dtype compute;
    soda_value *values;
    soda_node *nodes;
    int value_count, value_room;
    int node_count, node_room;
    int segment;
    bool in_backward;
    soda_status status; /* the first failure, kept with its message */
    char *message;
};

/* One rule per operator: checks the inputs and gives type and shape of every output. in[i] is NULL
 * for an absent optional input. */
typedef soda_status shape_rule(const soda_attr *attr, const soda_value *const *in,
                               soda_tensor *out);
/* Flops of a node, from shapes alone. */
typedef double cost_rule(const soda_attr *attr, const soda_value *const *in,
                         const soda_value *const *out);

/* Appends the gradient nodes of one node: din[i] for every input i with need[i], from dout
 * (NO_VALUE where an output has no gradient). in and out are the ids to read forward values from.
 */
typedef void backward_rule(soda_graph *graph, const soda_node *node, const soda_id *in,
                           const soda_id *out, const soda_id *dout, const bool *need, soda_id *din);

typedef struct {
    const char *name;
    int least_inputs, most_inputs, outputs;
    shape_rule *shape;
    cost_rule *cost;
    backward_rule *backward;
} op_rules;

extern const op_rules graph_rules[OP_COUNT];

#define OP(name, least, most, outputs, shape, cost, backward)                                      \
    shape_rule shape;                                                                              \
    cost_rule cost;                                                                                \
    backward_rule backward;
#include "graph/ops.def"
#undef OP

/* The value whose memory `id` uses: follows views. */
soda_id graph_root(const soda_graph *graph, soda_id id);

static inline bool is_float(soda_dtype dtype) { return dtype != SODA_I32; }

/* Statistics, losses and factor gradients are fp32, or fp64 in an fp64 graph. */
static inline soda_dtype wide_type(soda_dtype dtype)
{
    return dtype == SODA_F64 ? SODA_F64 : SODA_F32;
}
