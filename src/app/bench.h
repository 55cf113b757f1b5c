/* bench.h: what `soda bench` measures: a profile of one network, and the peak to compare it with.
 */
#pragma once

#include "train/findings.h"
#include "train/reducer.h"
#include "train/step.h"

typedef struct {
    int calls;
    double seconds, flops, bytes;
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

/* A network, and for a training step what follows it: reduction, clipping, update. */
typedef struct {
    soda_step *step;
    soda_params *params; /* NULL: the network alone */
    soda_reducer *reducer;
    soda_findings *found; /* of one addition */
    params_options options;
    soda_comm *comm; /* the reduction is over its ranks */
    int64_t done;    /* steps */
} bench_subject;

/* Runs the subject once to warm up and `repeat` times to measure; the classes are the best's. */
soda_status bench_run(bench_subject *subject, int repeat, bench_profile *profile);

/* The fastest matrix product this backend does here, in flop/s: percentages refer to it. */
soda_status bench_roof(const soda_backend *backend, soda_dtype dtype, double *flops_per_s);

/* The table for people, on stdout. */
void bench_print(const bench_profile *profile, double roof);
