/* rule.h: what the file of an operator defines: rule_NAME for every row of ops.def, and what
 * several of these files need. */
#pragma once

#include "graph/graph_internal.h"

/* Checks the inputs and gives type and shape of every output. in[i] is NULL for an absent optional
 * input. SODA_ERR_INPUT names the operator and what does not fit. */
typedef soda_status rule_shape(const soda_attr *attr, const soda_value *const *in,
                               soda_tensor *out);

/* Flops of a node, from shapes alone. A multiply and an add are two flops. */
typedef double rule_cost(const soda_attr *attr, const soda_value *const *in,
                         const soda_value *const *out);

/* Appends the gradient nodes of one node: din[i] for every input i with need[i] (one that leads to
 * a param), from dout (NO_VALUE where an output has no gradient). in and out are the ids to read
 * forward values from: under recomputation they are the fresh copies. */
typedef void rule_backward(soda_graph *graph, const soda_node *node, const soda_id *in,
                           const soda_id *out, const soda_id *dout, const bool *need, soda_id *din);

typedef struct {
    rule_shape *shape;
    rule_cost *cost;
    rule_backward *backward; /* NULL: no gradient passes */
} op_rule;

#define OP(name, ...) extern const op_rule rule_##name;
#include "graph/ops.def"
#undef OP

extern const op_rule *const rule_of[OP_COUNT];

/* Appends `op` and returns its first output, or NO_VALUE: failures stay in the graph. */
soda_id rule_append(soda_graph *graph, soda_op op, const soda_attr *attr, const soda_id *in,
                    int inputs);

/* "linear: x [4,8] does not fit w [3,9] of unet.conv_in.weight" */
soda_status rule_misfit(const char *op, const char *a_name, const soda_value *a, const char *b_name,
                        const soda_value *b);

/* A vector of n floats; a matrix or bias that fits x: frozen of any float type, or of x's type. */
bool rule_is_vector(const soda_value *v, int64_t n);
bool rule_type_fits(const soda_value *w, const soda_value *x);

void rule_set(soda_tensor *out, soda_dtype dtype, soda_shape shape);
soda_shape rule_with_columns(soda_shape shape, int64_t columns);
double rule_count(const soda_value *v); /* of elements */

/* Rules that several operators have. like_second is for gradients dy, x -> dx: dy and x are alike.
 */
rule_shape rule_shape_like_first, rule_shape_like_second;
rule_cost rule_cost_copy, rule_cost_elementwise, rule_cost_activation, rule_cost_norm;
