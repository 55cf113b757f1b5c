/* common.h: what options of several verbs mean. */
#pragma once

#include "adapter/route.h"
#include "backend/backend.h"
#include "comm/comm.h"

/* "fp32" or "bf16". */
soda_status common_dtype(const char *text, soda_dtype *dtype);

/* The backend called `name`, with `threads` threads (0: all cores this process may use). */
soda_status common_backend(const char *name, int64_t threads, const soda_backend **backend);

/* "none", "soda_svd" or "soda_lq"; *adapts is false for none. */
soda_status common_method(const char *text, bool *adapts, soda_method *method);

/* Set once by main: what all ranks talk through, and how many threads each of them should have
 * when the user does not say (0: all cores). */
void common_set_comm(soda_comm *comm, int threads);
soda_comm *common_comm(void);
