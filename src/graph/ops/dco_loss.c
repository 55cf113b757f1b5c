/* dco_loss: mse_loss with a reference, the error of the frozen network. An image counts by how much
 * its error is above the reference:
 *
 *     x = weight (image - reference)
 *     loss = mean over images of -log sigmoid(-beta x)      Lee et al. (DCO), arXiv:2402.12004
 *
 * Kernels and gradient are those of mse_loss. */
#include "graph/rule.h"

soda_id graph_dco_loss(soda_graph *graph, soda_id p, soda_id target, soda_id weight,
                       soda_id reference, float beta)
{
    return rule_append(graph, OP_mse_loss, &(soda_attr){.mse_loss = {beta}},
                       (soda_id[]){p, target, weight, reference}, 4);
}
