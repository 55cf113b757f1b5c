/* gpu_checks.h: what `soda selftest --gpu` checks and measures on this rank's device. */
#pragma once

#include "app/bench.h"
#include "comm/comm.h"

/* The cases of one operator's kernel. */
typedef struct {
    int cases, failed;
    double worst;      /* error as a part of what is allowed */
    char message[400]; /* of the first failure */
} gpu_kernel;

/* Any other check. */
typedef struct {
    const char *name;
    bool failed;
    double error, allowed; /* allowed 0: there is no number to it */
    char message[400];
} gpu_check;

/* One training step of a network, by operator. */
typedef struct {
    const char *arch, *dtype;
    double roof; /* flop/s of the fastest product */
    bench_profile profile;
} gpu_rate;

enum { GPU_CHECKS = 16, GPU_RATES = 2 };

typedef struct {
    const soda_backend *backend;
    soda_comm *comm;
    bool quick;
    const gpu_speed *card; /* the row of plan/gpus.def; NULL: not among them */
    gpu_kernel kernel[OP_COUNT];
    gpu_check check[GPU_CHECKS];
    int checks;
    gpu_rate rate[GPU_RATES];
    int rates;
    const char *rates_skipped; /* why there are none; NULL: they were measured */
    double sum_gb_per_s; /* of the largest sum: 2 (n-1)/n of its bytes, by time; 0: one rank */
    double seconds;
} gpu_results;

/* Runs all checks, whatever fails; failures are in the results. quick: few and small cases, which a
 * simulated GPU does in seconds; rates say nothing then. Collective. */
void gpu_checks_run(const soda_backend *backend, soda_comm *comm, bool quick, gpu_results *results);

/* How many kernels and checks there were, and how many failed; *first: a failure's message, "". */
void gpu_checks_count(const gpu_results *results, int *checks, int *failed, const char **first);
