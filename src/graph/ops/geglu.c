/* geglu and its gradient. */
#include "graph/rule.h"

static soda_status shape_geglu(const soda_attr *attr, const soda_value *const *in, soda_tensor *out)
{
    (void)attr;
    const int64_t columns = shape_columns(&in[0]->shape);
    if (columns % 2) return FAIL(SODA_ERR_INPUT, "geglu: %lld columns", (long long)columns);
    rule_set(&out[0], in[0]->dtype, rule_with_columns(in[0]->shape, columns / 2));
    return SODA_OK;
}

static void backward_geglu(soda_graph *graph, const soda_node *node, const soda_id *in,
                           const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out, (void)need;
    din[0] = rule_append(graph, OP_geglu_grad, &node->attr, (soda_id[]){dout[0], in[0]}, 2);
}

static soda_status shape_geglu_grad(const soda_attr *attr, const soda_value *const *in,
                                    soda_tensor *out)
{
    (void)attr;
    if (shape_columns(&in[1]->shape) != 2 * shape_columns(&in[0]->shape) ||
        shape_rows(&in[1]->shape) != shape_rows(&in[0]->shape))
        return rule_misfit("geglu_grad", "dy", in[0], "x", in[1]);
    rule_set(&out[0], in[1]->dtype, in[1]->shape);
    return SODA_OK;
}

const op_rule rule_geglu = {
    .shape = shape_geglu, .cost = rule_cost_activation, .backward = backward_geglu};
const op_rule rule_geglu_grad = {.shape = shape_geglu_grad, .cost = rule_cost_activation};

soda_id graph_geglu(soda_graph *graph, soda_id x)
{
    return rule_append(graph, OP_geglu, NULL, &x, 1);
}
