/* linear: a matrix product with a weight, and the gradient of a computed weight. */
#include "graph/rule.h"

static soda_status shape_linear(const soda_attr *attr, const soda_value *const *in,
                                soda_tensor *out)
{
    const soda_value *x = in[0], *w = in[1], *b = in[2];
    const bool t = attr->linear.transposed;
    if (w->shape.rank != 2 || x->shape.rank < 1 ||
        w->shape.dim[t ? 0 : 1] != shape_columns(&x->shape) || !rule_type_fits(w, x))
        return rule_misfit("linear", "x", x, "w", w);
    const int64_t outputs = w->shape.dim[t ? 1 : 0];
    if (b && (!rule_is_vector(b, outputs) || !rule_type_fits(b, x)))
        return rule_misfit("linear", "w", w, "b", b);
    rule_set(&out[0], x->dtype, rule_with_columns(x->shape, outputs));
    return SODA_OK;
}

static double cost_linear(const soda_attr *attr, const soda_value *const *in,
                          const soda_value *const *out)
{
    (void)attr;
    return 2 * rule_count(out[0]) * (double)shape_columns(&in[0]->shape);
}

/* y = x w' : dx = dy w, dw = dy' x. A stored-transposed w gets dw = x' dy. dw stays fp32 if w is a
 * bf16 copy of an fp32 weight: the rule of cast hands it on as it is. */
static void backward_linear(soda_graph *graph, const soda_node *node, const soda_id *in,
                            const soda_id *out, const soda_id *dout, const bool *need, soda_id *din)
{
    (void)out;
    const bool t = node->attr.linear.transposed;
    if (need[0]) {
        din[0] = t ? graph_linear(graph, dout[0], in[1], NO_VALUE)
                   : graph_linear_transposed(graph, dout[0], in[1], NO_VALUE);
    }
    if (need[1]) {
        const soda_id pair[2] = {t ? in[0] : dout[0], t ? dout[0] : in[0]};
        din[1] = rule_append(graph, OP_linear_grad_weight, &node->attr, pair, 2);
    }
    if (need[2] && graph->status == SODA_OK)
        graph_fail(graph, FAIL(SODA_ERR_UNSUPPORTED, "linear: a bias cannot be trained"));
}

static soda_status shape_linear_grad_weight(const soda_attr *attr, const soda_value *const *in,
                                            soda_tensor *out)
{
    (void)attr;
    if (shape_rows(&in[0]->shape) != shape_rows(&in[1]->shape) || in[0]->dtype != in[1]->dtype)
        return rule_misfit("linear_grad_weight", "dy", in[0], "x", in[1]);
    rule_set(&out[0], wide_type(in[0]->dtype),
             SHAPE(shape_columns(&in[0]->shape), shape_columns(&in[1]->shape)));
    return SODA_OK;
}

static double cost_linear_grad_weight(const soda_attr *attr, const soda_value *const *in,
                                      const soda_value *const *out)
{
    (void)attr;
    return 2 * rule_count(out[0]) * (double)shape_rows(&in[0]->shape);
}

const op_rule rule_linear = {
    .shape = shape_linear, .cost = cost_linear, .backward = backward_linear};
const op_rule rule_linear_grad_weight = {.shape = shape_linear_grad_weight,
                                         .cost = cost_linear_grad_weight};

static soda_id linear(soda_graph *graph, soda_id x, soda_id w, soda_id b, bool transposed)
{
    const soda_attr attr = {.linear = {.transposed = transposed}};
    return rule_append(graph, OP_linear, &attr, (soda_id[]){x, w, b}, 3);
}

soda_id graph_linear(soda_graph *graph, soda_id x, soda_id w, soda_id b)
{
    return linear(graph, x, w, b, false);
}

soda_id graph_linear_transposed(soda_graph *graph, soda_id x, soda_id w, soda_id b)
{
    return linear(graph, x, w, b, true);
}
