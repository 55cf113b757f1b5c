/* forecast.h: traffic and time of a step, and the time of a run, from times of nodes and figures of
 * the network. */
#pragma once

#include "plan/footprint.h"
#include "plan/op_times.h"

/* A number, and where it is from: "measured", "given" or "assumed". */
typedef struct {
    double value;
    const char *source;
} plan_figure;

typedef struct {
    op_kinds kinds;           /* that were timed */
    op_times trained, frozen; /* frozen: of DCO's second network, else zero */
    double update_s;          /* clip, optimizers, the rank's own part of the reduction */
    plan_figure net_bytes_per_s, net_latency_s; /* between nodes */
    plan_figure node_bytes_per_s;               /* between ranks of a node */
    plan_figure hash_bytes_per_s, pack_bytes_per_s;
} plan_figures;

typedef struct {
    int64_t micro_batches; /* of the busiest rank in a step */
    int64_t pictures;      /* of all ranks in a step */
    double flops;          /* of the busiest rank */
    double reduce_bytes;   /* that a rank sends, and receives, for the sum of gradients */
    double gather_bytes;   /* that a rank receives of weights */
    double compute_s, wait_s, gather_s, reduce_s, update_s, step_s;
    double hash_s, pack_s, start_s; /* until step 0: files and factors cached */
    double run_s; /* with all steps, but without pictures and held-out losses on the way */
} plan_forecast;

/* An all-reduce of `bytes` over n ranks: 2 (n-1)/n bytes / bytes_per_s + 2 ceil(log2 n) latency_s
 * (Thakur, Rabenseifner, Gropp, 2005). */
double forecast_reduce_s(double bytes, int ranks, double bytes_per_s, double latency_s);

/* What ranks have to reduce in a step. */
double forecast_reduce_bytes(const soda_outline *outline);

/* micro_batches: of each rank in a step; 0: as the configuration deals out global_batch. */
soda_status forecast_make(const soda_outline *outline, const plan_layout *layout,
                          const plan_figures *figures, int64_t micro_batches,
                          plan_forecast *forecast);
