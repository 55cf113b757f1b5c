/* timestep_embedding: sines and cosines. No gradient flows to a timestep. */
#include "graph/rule.h"

static soda_status shape_timestep_embedding(const soda_attr *attr, const soda_value *const *in,
                                            soda_tensor *out)
{
    if (in[0]->shape.rank != 1)
        return FAIL(SODA_ERR_INTERNAL, "timestep_embedding: a vector is wanted");
    rule_set(&out[0], wide_type(in[0]->dtype),
             SHAPE(in[0]->shape.dim[0], attr->timestep_embedding.width));
    return SODA_OK;
}

const op_rule rule_timestep_embedding = {.shape = shape_timestep_embedding,
                                         .cost = rule_cost_elementwise};

soda_id graph_timestep_embedding(soda_graph *graph, soda_id t, timestep_embedding_attr attr)
{
    return rule_append(graph, OP_timestep_embedding, &(soda_attr){.timestep_embedding = attr}, &t,
                       1);
}
