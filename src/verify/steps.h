/* steps.h: training steps on a backend, twice and against the CPU. */
#pragma once

#include "backend/backend.h"

typedef struct {
    double distance; /* of all trained numbers after the steps as one vector, relative, from cpu */
    double gradient; /* the same of the last gradient */
} steps_result;

enum { STEPS = 3 };

/* STEPS steps of a small U-Net with random weights, on `backend`, by all ranks together: the second
 * time, and every rank, must have the same bits; and the CPU about the same numbers, where `bound`
 * and ten times as much are allowed. The parameters must have moved. side: of the latents, at
 * least 4. Collective. */
typedef struct {
    soda_dtype dtype;
    int64_t side;
    double bound;
} steps_options;
soda_status steps_compare(const soda_backend *backend, soda_comm *comm,
                          const steps_options *options, steps_result *result);
