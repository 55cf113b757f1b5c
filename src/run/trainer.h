/* trainer.h: a training run from its configuration to its adapter.
 *
 * A step is global_batch images, cut into micro-batches of `batch` that ranks take in turn. What a
 * micro-batch computes depends on its number alone, and the sum over micro-batches on no order
 * (parallel.reduction: exact): the bits of a run do not depend on its ranks, nor on where it was
 * interrupted. */
#pragma once

#include "backend/backend.h"
#include "comm/comm.h"
#include "config/run_config.h"

/* Runs, or resumes from the newest good checkpoint of config->output. SODA_STOPPED after a signal
 * or at the end of the time limit, with a committed checkpoint. Everything that a run writes is in
 * config->output: the README lists it.
 *
 * overwrite: results in that folder which belong to no checkpoint, or which no run wrote, may be
 * written over; else they are an error.
 *
 * Collective: all ranks call it with the same configuration, which is checked. */
soda_status trainer_run(const run_config *config, bool overwrite, const soda_backend *backend,
                        soda_comm *comm);
