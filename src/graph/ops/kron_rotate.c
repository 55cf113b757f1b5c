/* kron_rotate: rows times a Kronecker product of three factors, and its gradients. */
#include "graph/rule.h"

static soda_status shape_kron_rotate(const soda_attr *attr, const soda_value *const *in,
                                     soda_tensor *out)
{
    (void)attr;
    int64_t width = 1;
    for (int i = 1; i <= 3; i++) {
        const soda_shape *r = &in[i]->shape;
        if (r->rank != 2 || r->dim[0] != r->dim[1])
            return rule_misfit("kron_rotate", "x", in[0], "R", in[i]);
        width *= r->dim[0];
    }
    if (width != shape_columns(&in[0]->shape))
        return rule_misfit("kron_rotate", "x", in[0], "R3", in[3]);
    rule_set(&out[0], in[0]->kind == VALUE_WEIGHT ? wide_type(in[1]->dtype) : in[0]->dtype,
             in[0]->shape);
    return SODA_OK;
}

static double factor_sum(const soda_value *const *r)
{
    return (double)(r[0]->shape.dim[0] + r[1]->shape.dim[0] + r[2]->shape.dim[0]);
}

static double cost_kron_rotate(const soda_attr *attr, const soda_value *const *in,
                               const soda_value *const *out)
{
    (void)attr;
    return 2 * rule_count(out[0]) * factor_sum(in + 1);
}

static void backward_kron_rotate(soda_graph *graph, const soda_node *node, const soda_id *in,
                                 const soda_id *out, const soda_id *dout, const bool *need,
                                 soda_id *din)
{
    (void)out;
    soda_id gradient[SODA_MAX_OUTPUTS];
    if (graph_append(graph, OP_kron_rotate_grad, &node->attr,
                     (soda_id[]){dout[0], in[0], in[1], in[2], in[3]}, 5, gradient) != SODA_OK)
        return;
    for (int i = 0; i < 4; i++)
        if (need[i]) din[i] = gradient[i];
}

static soda_status shape_kron_rotate_grad(const soda_attr *attr, const soda_value *const *in,
                                          soda_tensor *out)
{
    TRY(shape_kron_rotate(attr, in + 1, out));
    if (!shape_equal(&in[0]->shape, &in[1]->shape))
        return rule_misfit("kron_rotate_grad", "dz", in[0], "x", in[1]);
    for (int i = 1; i <= 3; i++) rule_set(&out[i], wide_type(in[i + 1]->dtype), in[i + 1]->shape);
    return SODA_OK;
}

/* Forward again, dx, and the factors. */
static double cost_kron_rotate_grad(const soda_attr *attr, const soda_value *const *in,
                                    const soda_value *const *out)
{
    (void)attr;
    return 6 * rule_count(out[0]) * factor_sum(in + 2);
}

const op_rule rule_kron_rotate = {
    .shape = shape_kron_rotate, .cost = cost_kron_rotate, .backward = backward_kron_rotate};
const op_rule rule_kron_rotate_grad = {.shape = shape_kron_rotate_grad,
                                       .cost = cost_kron_rotate_grad};

soda_id graph_kron_rotate(soda_graph *graph, soda_id x, const soda_id factor[3], bool transposed)
{
    return rule_append(graph, OP_kron_rotate, &(soda_attr){.kron_rotate = {transposed}},
                       (soda_id[]){x, factor[0], factor[1], factor[2]}, 4);
}
