/* concat, and slice: the gradient of each part. slice itself has none. */
#include "graph/rule.h"

static soda_status shape_concat(const soda_attr *attr, const soda_value *const *in,
                                soda_tensor *out)
{
    (void)attr;
    const soda_value *a = in[0], *b = in[1];
    const soda_shape joined =
        rule_with_columns(a->shape, shape_columns(&a->shape) + shape_columns(&b->shape));
    const soda_shape other = rule_with_columns(b->shape, shape_columns(&joined));
    if (!shape_equal(&joined, &other) || a->dtype != b->dtype)
        return rule_misfit("concat", "a", a, "b", b);
    rule_set(&out[0], a->dtype, joined);
    return SODA_OK;
}

static void backward_concat(soda_graph *graph, const soda_node *node, const soda_id *in,
                            const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)node, (void)out;
    const int64_t a = shape_columns(&graph_value(graph, in[0])->shape);
    const int64_t b = shape_columns(&graph_value(graph, in[1])->shape);
    if (need[0]) din[0] = graph_slice(graph, dout[0], 0, a);
    if (need[1]) din[1] = graph_slice(graph, dout[0], a, b);
}

static soda_status shape_slice(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    const slice_attr *a = &attr->slice;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (a->start < 0 || a->length < 1 || a->start > columns - a->length)
        return FAIL(SODA_ERR_INTERNAL, "slice: [%lld,+%lld) of %lld columns", (long long)a->start,
                    (long long)a->length, (long long)columns);
    rule_set(&out[0], in[0]->dtype, rule_with_columns(in[0]->shape, a->length));
    return SODA_OK;
}

const op_rule rule_concat = {
    .shape = shape_concat, .cost = rule_cost_copy, .backward = backward_concat};
const op_rule rule_slice = {.shape = shape_slice, .cost = rule_cost_copy};

soda_id graph_concat(soda_graph *graph, soda_id a, soda_id b)
{
    return rule_append(graph, OP_concat, NULL, (soda_id[]){a, b}, 2);
}

soda_id graph_slice(soda_graph *graph, soda_id x, int64_t start, int64_t length)
{
    return rule_append(graph, OP_slice, &(soda_attr){.slice = {start, length}}, &x, 1);
}
