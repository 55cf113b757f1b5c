/* op_times.h: how long the nodes of a planned network take on this machine. */
#pragma once

#include "backend/backend.h"
#include "exec/exec.h"
#include "graph/graph.h"
#include "plan/gpu_speed.h"

typedef struct {
    int calls;
    double flops, seconds;
} op_class;

typedef struct {
    op_class forward[OP_COUNT], backward[OP_COUNT]; /* of the nodes that run */
    double *step_s;                                 /* [steps]: in the order of exec_order */
    int steps, prologue;
    double prologue_s, rest_s; /* sums of step_s: once per update, and once per micro-batch */
    double flops_forward, flops_backward;
    int kinds, measured; /* nodes that differ in more than their values; how many were timed */
    double covered;      /* part of the time that is spent in kinds that were timed */
} op_times;

/* Kinds of nodes that were timed: of one network, or of several that are much alike. */
typedef struct {
    struct op_kind *list;
    int count, room;
} op_kinds;
void op_kinds_free(op_kinds *kinds); /* accepts a zeroed struct */

/* Times one node of each kind that `known` does not have, the longest first, alone and with random
 * operands, for about budget_s seconds, and adds them to `known`; what is left takes as long as
 * others of its operator, by flops and bytes. `exec` is planned for `graph`, and may be
 * uncommitted. */
soda_status op_times_measure(const soda_graph *graph, const soda_exec *exec,
                             const soda_backend *backend, double budget_s, op_kinds *known,
                             op_times *times);

/* The same without a clock: every flop takes 1 / flops_per_s, or every node what `gpu` predicts. */
soda_status op_times_given(const soda_graph *graph, const soda_exec *exec, double flops_per_s,
                           op_times *times);
soda_status op_times_predict(const soda_graph *graph, const soda_exec *exec, const gpu_speed *gpu,
                             op_times *times);

/* Replaces the seconds of `times` by those of an equal network, by node. */
soda_status op_times_set(const soda_graph *graph, const soda_exec *exec, const double *seconds,
                         op_times *times);

void op_times_free(op_times *times); /* accepts a zeroed struct */
