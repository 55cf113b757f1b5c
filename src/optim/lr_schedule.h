/* lr_schedule.h: the learning rate over a run, as diffusers defines it. */
#pragma once

#include <stdint.h>

typedef enum { LR_CONSTANT, LR_COSINE, LR_LINEAR } lr_schedule_kind;

typedef struct {
    lr_schedule_kind kind;
    int64_t warmup, steps;
} lr_schedule;

/* The factor on the learning rate of step i = 0, 1, ..., steps - 1:
 *
 *     i < warmup   i / warmup
 *     constant     1
 *     linear       (steps - i) / (steps - warmup)
 *     cosine       0.5 (1 + cos(pi (i - warmup) / (steps - warmup)))
 *
 * and 0 from step `steps` on, for the last two. */
double lr_schedule_factor(const lr_schedule *schedule, int64_t i);
