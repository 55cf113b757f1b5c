/* whole_step.h: the times of a small network, of all its nodes one after the other. Alone, a small
 * node finds its operands in the cache and the cores to itself: sums of such times were 22 % below
 * those of a step of the bundled model. */
#pragma once

#include "plan/op_times.h"
#include "plan/outline.h"

/* Replaces what `times` says of a node, which is for the network of `step`, by what the node took
 * in the fastest of some runs of the whole network on random weights. `ranks` of them run at the
 * same time, as on a node, as far as this process has cores for them. Leaves `times` alone if the
 * runs would take much longer than budget_s, if the weights are large, or if parts of the network
 * have no random weights (text encoders). */
soda_status whole_step_measure(const soda_outline *outline, const soda_step *step, int ranks,
                               double budget_s, op_times *times);
