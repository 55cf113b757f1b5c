/* add, and sum_rows: the gradient of an operand that was added to many rows. */
#include "graph/rule.h"

static soda_status shape_add(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const soda_value *a = in[0], *b = in[1];
    const bool by_channel = b->shape.rank == 2 && a->shape.rank >= 2 &&
                            b->shape.dim[0] == a->shape.dim[0] &&
                            b->shape.dim[1] == shape_columns(&a->shape);
    if ((!shape_equal(&a->shape, &b->shape) && !by_channel) || a->dtype != b->dtype)
        return rule_misfit("add", "a", a, "b", b);
    rule_set(&out[0], a->dtype, a->shape);
    return SODA_OK;
}

static void backward_add(soda_graph *graph, const soda_node *node, const soda_id *in,
                         const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    const bool same =
        shape_equal(&graph_value(graph, in[0])->shape, &graph_value(graph, in[1])->shape);
    if (need[0]) din[0] = dout[0];
    if (need[1])
        din[1] = same ? dout[0] : rule_append(graph, OP_sum_rows, &node->attr, &dout[0], 1);
}

static soda_status shape_sum_rows(const soda_attr *attr, const soda_value *const *in,
                                  soda_tensor *out)
{
    (void)attr;
    rule_set(&out[0], in[0]->dtype, SHAPE(in[0]->shape.dim[0], shape_columns(&in[0]->shape)));
    return SODA_OK;
}

const op_rule rule_add = {
    .shape = shape_add, .cost = rule_cost_elementwise, .backward = backward_add};
const op_rule rule_sum_rows = {.shape = shape_sum_rows, .cost = rule_cost_elementwise};

soda_id graph_add(soda_graph *graph, soda_id a, soda_id b)
{
    return rule_append(graph, OP_add, NULL, (soda_id[]){a, b}, 2);
}
