/* resume_rules.h: what may change between a checkpoint and the run that resumes from it. */
#pragma once

#include "io/checkpoint.h"
#include "output/run_state.h"

/* Model, noise schedule, data set, method and seed may not: SODA_ERR_INPUT names what differs, of
 * model and data the keys with both values. `path` is the checkpoint's. */
soda_status resume_rules_check(const run_state *state, const soda_checkpoint *checkpoint,
                               const char *path);

/* Why the checkpoint has other tensors than the run, if the keys tell: SODA_ERR_INPUT names them
 * with both values. */
soda_status resume_rules_explain(const run_state *state, const soda_checkpoint *checkpoint,
                                 const char *path);

/* Any other key may: a warning lists those that did, and the instruction set. */
soda_status resume_rules_warn(const run_state *state, const soda_checkpoint *checkpoint,
                              const char *path);
