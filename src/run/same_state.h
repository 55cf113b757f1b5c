/* same_state.h: ranks that drifted apart would train different models without a sign. */
#pragma once

#include "comm/comm.h"
#include "train/params.h"

/* SODA_ERR_INPUT on every rank unless all ranks have the same adapter and optimizer state, to the
 * bit; a rank that differs from most of the others names the first tensor. Leaves the arrays on the
 * host as params_fetch does. `step` is for the message. Collective; one small exchange where all is
 * well. */
soda_status same_state_check(soda_comm *comm, soda_params *params, int64_t step);
