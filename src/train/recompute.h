/* recompute.h: which activations of a step are computed again in the backward pass instead of being
 * kept: none, all, or those of as few segments of the network as a limit of memory allows. */
#pragma once

#include "train/step.h"

/* Builds and plans step->net with its first `recomputed` segments run twice, and sets both numbers
 * in the step. They are the segments whose activations would wait longest. */
typedef soda_status recompute_build(const void *context, int recomputed);

/* Builds the network as step->shape.recompute says. With RECOMPUTE_AUTO a limit that cannot be met
 * is SODA_ERR_MEMORY, with what would be needed. Local. */
soda_status recompute_choose(soda_step *step, recompute_build *build, const void *context);
