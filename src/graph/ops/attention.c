/* attention of several heads and its gradient. */
#include <math.h>

#include "graph/rule.h"

static soda_status shape_attention(const soda_attr *attr, const soda_value *const *in,
                                   soda_tensor *out)
{
    const soda_value *q = in[0], *k = in[1], *v = in[2];
    const int64_t heads = attr->attention.heads;
    if (q->shape.rank != 3 || k->shape.rank != 3 || k->shape.dim[0] != q->shape.dim[0] ||
        k->shape.dim[2] != q->shape.dim[2] || k->dtype != q->dtype)
        return rule_misfit("attention", "q", q, "k", k);
    if (!shape_equal(&k->shape, &v->shape) || v->dtype != k->dtype)
        return rule_misfit("attention", "k", k, "v", v);
    if (heads < 1 || q->shape.dim[2] % heads)
        return FAIL(SODA_ERR_INPUT, "attention: %lld channels do not divide into %lld heads",
                    (long long)q->shape.dim[2], (long long)heads);
    if (attr->attention.causal && k->shape.dim[1] != q->shape.dim[1])
        return rule_misfit("attention", "causal q", q, "k", k);
    rule_set(&out[0], q->dtype, q->shape);
    rule_set(&out[1], wide_type(q->dtype), SHAPE(q->shape.dim[0], heads, q->shape.dim[1]));
    return SODA_OK;
}

/* Two products of Tq x Tk x width; the softmax is left out, as in the literature. */
static double cost_attention(const soda_attr *attr, const soda_value *const *in,
                             const soda_value *const *out)
{
    const double full = 4 * rule_count(out[0]) * (double)in[1]->shape.dim[1];
    return attr->attention.causal ? full / 2 : full;
}

static void backward_attention(soda_graph *graph, const soda_node *node, const soda_id *in,
                               const soda_id *out, const soda_id *dout, const bool *need,
                               soda_id *din)
{
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (graph_append(graph, OP_attention_grad, &node->attr,
                     (soda_id[]){in[0], in[1], in[2], out[0], out[1], dout[0]}, 6,
                     gradient) != SODA_OK)
        return;
    for (int i = 0; i < 3; i++)
        if (need[i]) din[i] = gradient[i];
}

static soda_status shape_attention_grad(const soda_attr *attr, const soda_value *const *in,
                                        soda_tensor *out)
{
    soda_tensor forward[2];
    TRY(shape_attention(attr, in, forward));
    if (!shape_equal(&in[5]->shape, &in[0]->shape) || in[5]->dtype != in[0]->dtype)
        return rule_misfit("attention_grad", "do", in[5], "q", in[0]);
    for (int i = 0; i < 3; i++) rule_set(&out[i], in[i]->dtype, in[i]->shape);
    return SODA_OK;
}

/* Five products: logits again, dv, dp, dq, dk. */
static double cost_attention_grad(const soda_attr *attr, const soda_value *const *in,
                                  const soda_value *const *out)
{
    return 2.5 * cost_attention(attr, in, out);
}

const op_rule rule_attention = {
    .shape = shape_attention, .cost = cost_attention, .backward = backward_attention};
const op_rule rule_attention_grad = {.shape = shape_attention_grad, .cost = cost_attention_grad};

soda_id graph_attention(soda_graph *graph, soda_id q, soda_id k, soda_id v, int64_t heads,
                        bool causal)
{
    if (graph->status != SODA_OK) return NO_VALUE;
    const soda_value *value = graph_value(graph, q);
    const double head_width = (double)shape_columns(&value->shape) / (double)heads;
    const attention_attr attr = {heads, causal, (float)(1.0 / sqrt(head_width))};
    return rule_append(graph, OP_attention, &(soda_attr){.attention = attr}, (soda_id[]){q, k, v},
                       3);
}
