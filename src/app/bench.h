/* bench.h: what `soda bench` measures: a profile of one graph, and the roof to hold it against. */
#pragma once

#include "graph/exec.h"

typedef struct {
    int calls;
    double seconds, flops, bytes;
} bench_class;

typedef struct {
    bench_class op[OP_COUNT]; /* forward nodes */
    bench_class gradient[OP_COUNT];
    double best_s, median_s; /* of one whole run */
    double flops_forward, flops;
    double forward_s; /* seconds of the forward nodes in the best run */
} bench_profile;

/* Runs `exec` once to warm up and `repeat` times to measure; the classes are those of the best. */
soda_status bench_run(soda_exec *exec, const soda_graph *graph, int repeat, bench_profile *profile);

/* The fastest matrix product this backend does here, in flop/s: the roof that shares refer to. */
soda_status bench_roof(const soda_backend *backend, soda_dtype dtype, double *flops_per_s);

/* The table for people, on stdout. */
void bench_print(const bench_profile *profile, double roof);
