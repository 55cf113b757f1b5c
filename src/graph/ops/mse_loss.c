/* mse_loss: weighted squared error, plain or as DCO compares it with a reference; and its gradient.
 */
#include "graph/rule.h"

static soda_status shape_mse_loss(const soda_attr *attr, const soda_value *const *in,
                                  soda_tensor *out)
{
    (void)attr;
    const soda_value *p = in[0], *target = in[1], *weight = in[2];
    if (!shape_equal(&p->shape, &target->shape))
        return rule_misfit("mse_loss", "p", p, "target", target);
    if (!rule_is_vector(weight, p->shape.dim[0]))
        return rule_misfit("mse_loss", "p", p, "weight", weight);
    if (in[3] && !rule_is_vector(in[3], p->shape.dim[0]))
        return rule_misfit("mse_loss", "p", p, "reference", in[3]);
    rule_set(&out[0], wide_type(p->dtype), SHAPE(1));
    rule_set(&out[1], wide_type(p->dtype), SHAPE(p->shape.dim[0]));
    return SODA_OK;
}

/* The loss is where gradients start: its own gradient is one. */
static void backward_mse_loss(soda_graph *graph, const soda_node *node, const soda_id *in,
                              const soda_id *out, const soda_id *dout, const bool *need,
                              soda_id *din)
{
    (void)dout;
    const soda_id all[5] = {in[0], in[1], in[2], out[1], in[3]};
    if (need[0])
        din[0] = rule_append(graph, OP_mse_loss_grad, &node->attr, all, in[3] == NO_VALUE ? 4 : 5);
}

const op_rule rule_mse_loss = {
    .shape = shape_mse_loss, .cost = rule_cost_elementwise, .backward = backward_mse_loss};
const op_rule rule_mse_loss_grad = {.shape = rule_shape_like_first, .cost = rule_cost_elementwise};

soda_id graph_mse_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight)
{
    return rule_append(graph, OP_mse_loss, NULL, (soda_id[]){p, target, weight}, 3);
}
