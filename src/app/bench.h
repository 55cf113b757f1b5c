/* bench.h: what `soda bench` measures: a profile of one network, and the peak to compare it with.
 */
#pragma once

#include "plan/gpu_speed.h"
#include "train/random_step.h"

typedef struct {
    int calls;
    double seconds, flops, bytes;
    double predicted_s; /* 0: for no GPU */
} bench_class;

typedef struct {
    bench_class op[OP_COUNT]; /* forward nodes */
    bench_class gradient[OP_COUNT];
    double best_s, median_s; /* of one whole run: all phases */
    double flops_forward, flops;
    /* of the best run; all but the first are 0 unless gradients are computed */
    double forward_s, backward_s, reduce_s, update_s;
    residency_report residency; /* of one run, the mean of all; zeros where weights are at hand */
} bench_profile;

/* Runs the step once to warm up and `repeat` times to measure; the classes are the best's. `gpu`:
 * what its times are predicted from; NULL: they are not. */
soda_status bench_run(random_step *step, int repeat, const gpu_speed *gpu, bench_profile *profile);

/* The fastest matrix product this backend does here, in flop/s: percentages refer to it. All times
 * are the device's. */
soda_status bench_roof(const soda_backend *backend, soda_dtype dtype, double *flops_per_s);

/* The table for people, on stdout. */
void bench_print(const bench_profile *profile, double roof);
