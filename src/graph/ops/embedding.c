/* embedding: rows of a table, and the gradient of a computed table. */
#include "graph/rule.h"

static soda_status shape_embedding(const soda_attr *attr, const soda_value *const *in,
                                   soda_tensor *out)
{
    const soda_value *ids = in[0], *table = in[1];
    if (ids->dtype != SODA_I32 || table->shape.rank != 2 || ids->shape.rank >= SODA_MAX_RANK)
        return rule_misfit("embedding", "ids", ids, "table", table);
    soda_shape shape = ids->shape;
    shape.dim[shape.rank++] = table->shape.dim[1];
    rule_set(&out[0], attr->cast.dtype, shape);
    return SODA_OK;
}

/* Only a computed table has a gradient: pooling picks rows of the hidden states. */
static void backward_embedding(soda_graph *graph, const soda_node *node, const soda_id *in,
                               const soda_id *out, const soda_id *dout, const bool *need,
                               soda_id *din)
{
    (void)node, (void)out;
    const soda_id all[3] = {dout[0], in[0], in[1]};
    if (need[1]) din[1] = rule_append(graph, OP_embedding_grad, NULL, all, 3);
}

static soda_status shape_embedding_grad(const soda_attr *attr, const soda_value *const *in,
                                        soda_tensor *out)
{
    (void)attr;
    const soda_value *dy = in[0], *ids = in[1], *table = in[2];
    if (ids->dtype != SODA_I32 || table->shape.rank != 2 ||
        shape_rows(&dy->shape) != shape_count(&ids->shape) ||
        shape_columns(&dy->shape) != table->shape.dim[1])
        return rule_misfit("embedding_grad", "dy", dy, "table", table);
    rule_set(&out[0], dy->dtype, table->shape);
    return SODA_OK;
}

const op_rule rule_embedding = {
    .shape = shape_embedding, .cost = rule_cost_copy, .backward = backward_embedding};
const op_rule rule_embedding_grad = {.shape = shape_embedding_grad, .cost = rule_cost_elementwise};

soda_id graph_embedding(soda_graph *graph, soda_id ids, soda_id table)
{
    return rule_append(graph, OP_embedding, &(soda_attr){.cast = {graph->compute}},
                       (soda_id[]){ids, table}, 2);
}
