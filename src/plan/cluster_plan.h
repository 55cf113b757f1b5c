/* cluster_plan.h: the whole plan of a run on a cluster: parameters, and for each policy memory,
 * traffic and time. */
#pragma once

#include "plan/advice.h"
#include "plan/measure.h"

typedef struct {
    outline_request run; /* its sharers and machine_bytes are filled in here */
    int ranks, per_node; /* per_node divides ranks */
    size_t node_bytes;   /* memory of a node */
    measure_given given;
    double budget_s; /* for measuring */
} cluster_request;

typedef struct {
    int layers;
    int64_t frozen, trained, freedom;     /* parameters */
    int64_t pictures, texts, h, w, sizes; /* of the data; the largest latents, and how many */
    double flops_forward, flops_backward; /* of one micro-batch, DCO's second network included */
    op_class forward[OP_COUNT], backward[OP_COUNT];
    int kinds, measured; /* see op_times */
    double covered;
    double reduce_bytes; /* of a rank's sums of gradients */
    ledger_sums weights; /* of one copy */
} cluster_subject;

typedef struct {
    cluster_subject subject;
    plan_figures figures; /* without times of nodes */
    advice_row rows[WEIGHTS_POLICIES];
    int count, chosen; /* chosen: -1: none */
    char reason[512];
} cluster_plan;

/* Policies that mean nothing for this layout are left out: node with one rank per node, shard with
 * one rank. */
soda_status cluster_plan_make(const cluster_request *request, cluster_plan *plan);
