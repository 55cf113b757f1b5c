/* upsample to the nearest pixel, and its gradient. */
#include "graph/rule.h"

static soda_status shape_upsample(const soda_attr *attr, const soda_value *const *in,
                                  soda_tensor *out)
{
    const soda_shape *x = &in[0]->shape;
    if (x->rank != 4 || attr->upsample.h < 1 || attr->upsample.w < 1)
        return FAIL(SODA_ERR_INTERNAL, "upsample: a picture is wanted");
    rule_set(&out[0], in[0]->dtype,
             SHAPE(x->dim[0], attr->upsample.h, attr->upsample.w, x->dim[3]));
    return SODA_OK;
}

static void backward_upsample(soda_graph *graph, const soda_node *node, const soda_id *in,
                              const soda_id *out, const soda_id *dout, const bool *need,
                              soda_id *din)
{
    (void)node, (void)out, (void)need;
    const soda_shape *x = &graph_value(graph, in[0])->shape;
    const soda_attr attr = {.upsample = {x->dim[1], x->dim[2]}};
    din[0] = rule_append(graph, OP_upsample_grad, &attr, &dout[0], 1);
}

const op_rule rule_upsample = {
    .shape = shape_upsample, .cost = rule_cost_copy, .backward = backward_upsample};
const op_rule rule_upsample_grad = {.shape = shape_upsample, .cost = rule_cost_elementwise};

soda_id graph_upsample(soda_graph *graph, soda_id x, int64_t h, int64_t w)
{
    return rule_append(graph, OP_upsample, &(soda_attr){.upsample = {h, w}}, &x, 1);
}
