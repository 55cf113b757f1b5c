/* same_state.h: ranks that drifted apart would train different models without a sign. */
#pragma once

#include "comm/comm.h"
#include "train/params.h"

/* SODA_ERR_INPUT on every rank unless all ranks have the same adapter and optimizer state, to the
 * bit, by `sums`, which params_sum and then the host read; a rank that differs from most of the
 * others fetches its state and names the first tensor. `own`: a failure of this rank, which then
 * has no sums. `step` is for the message. Collective; one small exchange where all is well. */
soda_status same_state_check(soda_comm *comm, soda_params *params, soda_status own,
                             const params_sums *sums, int64_t step);
