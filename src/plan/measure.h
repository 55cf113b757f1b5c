/* measure.h: the figures of forecast.h, measured on this machine in a few seconds. */
#pragma once

#include "plan/forecast.h"

/* What the user says; 0: not given. */
typedef struct {
    int per_node;       /* ranks that run side by side */
    double flops_per_s; /* that a rank sustains over a step */
    double net_bytes_per_s, net_latency_s;
    const gpu_speed *gpu; /* predict the times of a step on it; NULL: measure them here */
} measure_given;

/* Into *figures, zeroed or filled for another network of the same run: what is known already is not
 * measured again. Times nodes for about budget_s seconds, unless flops_per_s or gpu is given. What
 * cannot be measured by one process, and is not given, is assumed: a network of 10 Gbit/s with 50
 * microseconds. */
soda_status measure_figures(soda_outline *outline, const measure_given *given, double budget_s,
                            plan_figures *figures);
void measure_free(plan_figures *figures); /* accepts a zeroed struct */
