/* training_targets.h: says which of adapter.targets match no layer, and what names there are. */
#pragma once

#include "train/training_model.h"

/* The layers of `model` were collected. None at all is SODA_ERR_INPUT, with the names that the
 * linear layers have; with `warn`, a target without a layer beside others that have some is a
 * warning with the same names. */
soda_status training_targets_check(const training_model *model, const run_config *config,
                                   bool warn);
