/* cost.c: flops and bytes of a node, from shapes alone. A multiply and an add are two flops. */
#include "graph/graph_internal.h"

static double count(const soda_value *v) { return v ? (double)shape_count(&v->shape) : 0; }
static double columns(const soda_value *v) { return (double)shape_columns(&v->shape); }

double cost_linear(const soda_attr *attr, const soda_value *const *in, const soda_value *const *out)
{
    (void)attr;
    return 2 * count(out[0]) * columns(in[0]);
}

double cost_linear_grad_weight(const soda_attr *attr, const soda_value *const *in,
                               const soda_value *const *out)
{
    (void)attr;
    return 2 * count(out[0]) * (double)shape_rows(&in[0]->shape);
}

/* A tap of the kernel for every output element and input channel. */
double cost_conv2d(const soda_attr *attr, const soda_value *const *in, const soda_value *const *out)
{
    (void)attr;
    const soda_shape *w = &in[1]->shape;
    return 2 * count(out[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

/* The same taps as forward: one for every element of dy. */
double cost_conv2d_grad_x(const soda_attr *attr, const soda_value *const *in,
                          const soda_value *const *out)
{
    (void)attr, (void)out;
    const soda_shape *w = &in[1]->shape;
    return 2 * count(in[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

double cost_norm(const soda_attr *attr, const soda_value *const *in, const soda_value *const *out)
{
    (void)attr, (void)in;
    return 8 * count(out[0]); /* mean, variance, scale and shift; memory decides its time */
}

/* About 20 instructions for one exp or erf: a convention, memory or exp decides the time. */
double cost_activation(const soda_attr *attr, const soda_value *const *in,
                       const soda_value *const *out)
{
    (void)attr, (void)in;
    return 20 * count(out[0]);
}

double cost_elementwise(const soda_attr *attr, const soda_value *const *in,
                        const soda_value *const *out)
{
    (void)attr;
    return count(out[0]) > count(in[0]) ? count(out[0]) : count(in[0]);
}

double cost_copy(const soda_attr *attr, const soda_value *const *in, const soda_value *const *out)
{
    (void)attr, (void)in, (void)out;
    return 0;
}

/* Two products of Tq x Tk x width; the softmax is left out, as in the literature. */
double cost_attention(const soda_attr *attr, const soda_value *const *in,
                      const soda_value *const *out)
{
    const double full = 4 * count(out[0]) * (double)in[1]->shape.dim[1];
    return attr->attention.causal ? full / 2 : full;
}

/* Five products: logits again, dv, dp, dq, dk. */
double cost_attention_grad(const soda_attr *attr, const soda_value *const *in,
                           const soda_value *const *out)
{
    return 2.5 * cost_attention(attr, in, out);
}

static double factor_sum(const soda_value *const *r)
{
    return (double)(r[0]->shape.dim[0] + r[1]->shape.dim[0] + r[2]->shape.dim[0]);
}

double cost_kron_rotate(const soda_attr *attr, const soda_value *const *in,
                        const soda_value *const *out)
{
    (void)attr;
    return 2 * count(out[0]) * factor_sum(in + 1);
}

/* Forward again, dx, and the factors. */
double cost_kron_rotate_grad(const soda_attr *attr, const soda_value *const *in,
                             const soda_value *const *out)
{
    (void)attr;
    return 6 * count(out[0]) * factor_sum(in + 2);
}

static double bytes_of(const soda_value *v)
{
    return (double)shape_count(&v->shape) * (double)dtype_bytes(v->dtype);
}

/* Bytes of a frozen weight count in the type it is computed in, not in the file's. */
static double input_bytes(const soda_graph *graph, const soda_value *v)
{
    if (v->kind != VALUE_WEIGHT) return bytes_of(v);
    return (double)shape_count(&v->shape) * (double)dtype_bytes(graph->compute);
}

soda_cost graph_node_cost(const soda_graph *graph, int index)
{
    const soda_node *node = &graph->nodes[index];
    const soda_value *in[SODA_MAX_INPUTS] = {NULL}, *out[SODA_MAX_OUTPUTS] = {NULL};
    soda_cost cost = {0, 0};
    for (int i = 0; i < SODA_MAX_INPUTS; i++) {
        if (node->in[i] == NO_VALUE) continue;
        in[i] = &graph->values[node->in[i]];
        cost.bytes += input_bytes(graph, in[i]);
    }
    for (int i = 0; i < SODA_MAX_OUTPUTS; i++) {
        if (node->out[i] == NO_VALUE) continue;
        out[i] = &graph->values[node->out[i]];
        cost.bytes += bytes_of(out[i]);
    }
    cost.flops = graph_rules[node->op].cost(&node->attr, in, out);
    return cost;
}
