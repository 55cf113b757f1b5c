/* advice.h: which policy for the frozen weights a run should have, and why. */
#pragma once

#include "plan/forecast.h"

enum { ADVICE_SCALES = 13 }; /* 1, 2, 4, ... 4096 ranks */

/* One policy of the plan. */
typedef struct {
    plan_layout layout;
    soda_status status; /* of planning it; SODA_ERR_MEMORY: train.memory_limit is too small */
    char why[512];      /* the message of that failure */
    plan_footprint memory;
    int recomputed, segments; /* blocks of the trained network that are run twice */
    plan_forecast time;
    plan_forecast scaling[ADVICE_SCALES]; /* weak: as many micro-batches on each rank */
    size_t node_bytes, room;              /* of all ranks of a node, and what a node has for them */
} advice_row;

bool advice_fits(const advice_row *row);

/* The index of the row to recommend, -1 if none fits: the first that fits, so rows come
 * in the order replicate, node, shard: sharding costs traffic, and is for what does not fit
 * elsewhere. `reason` [size] says why. */
int advice_choose(const advice_row *rows, int count, char *reason, size_t size);
