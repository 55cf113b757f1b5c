/* common.h: what options of several verbs mean. */
#pragma once

#include "adapter/route.h"
#include "app/options.h"
#include "backend/backend.h"
#include "comm/comm.h"

/* "fp32" or "bf16". */
soda_status common_dtype(const char *text, soda_dtype *dtype);

/* What a verb that computes lets its user say about the machine; all zero is the default. */
typedef struct {
    const char *backend; /* NULL: cpu */
    int64_t threads;     /* 0: all cores this process may use */
    const char *isa;     /* NULL: SODA_ISA, or the highest level of this CPU */
} machine_options;

/* Their rows in the verb's table of options. */
option_row common_backend_row(machine_options *machine);
option_row common_threads_row(machine_options *machine);
option_row common_isa_row(machine_options *machine);

/* The backend as chosen. Before any other call to a backend: it fixes the instruction set. */
soda_status common_backend(const machine_options *machine, const soda_backend **backend);

/* "none", "soda_svd" or "soda_lq"; *adapts is false for none. */
soda_status common_method(const char *text, bool *adapts, soda_method *method);

/* Set once by main: what all ranks talk through, and how many threads each of them should have
 * when the user does not say (0: all cores). */
void common_set_comm(soda_comm *comm, int threads);
soda_comm *common_comm(void);
