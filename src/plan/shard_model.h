/* shard_model.h: what it would cost to keep 1/n of the frozen weights on each of n ranks, gathered
 * ahead of use into a ring.
 *
 * A model, from the list of visits that the executor makes (backend/weights.h) and two figures of
 * the network; nothing is gathered here. */
#pragma once

#include "backend/weights.h"
#include "plan/ledger.h"

typedef struct {
    int ranks; /* that hold one copy together: n */
    size_t ring_bytes;
} shard_layout;

/* Bytes of weights on each rank: small forms whole, 1/n of the others, and the ring, which is never
 * larger than what it would replace. *ring_bytes is the ring's part. */
size_t shard_bytes(const ledger_sums *sums, shard_layout layout, size_t *ring_bytes);

typedef struct {
    double bytes;    /* that each rank receives in one pass over the steps */
    double gather_s; /* in which the network is busy */
    double wait_s;   /* in which the rank is not, because weights are not there yet */
} shard_walk;

/* Walks over the visits of a network that repeats itself: the first gathers of a pass begin during
 * the pass before. step_s [steps] is the time of each step (weights.h); steps before `first` are
 * left out. A gather of b bytes takes latency_s + (n-1)/n b / bytes_per_s, one after the other in
 * the order of the visits, each as soon as the ring has room for it. */
typedef struct {
    const soda_weights *weights;
    const double *step_s;
    int first, steps;
    double bytes_per_s, latency_s;
} shard_case;
soda_status shard_walk_visits(const shard_case *c, shard_layout layout, shard_walk *walk);
