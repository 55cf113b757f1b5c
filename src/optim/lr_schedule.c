#include "optim/lr_schedule.h"

#include <math.h>

double lr_schedule_factor(const lr_schedule *schedule, int64_t i)
{
    const int64_t warmup = schedule->warmup, steps = schedule->steps;
    if (i < warmup) return (double)i / (double)warmup;
    if (schedule->kind == LR_CONSTANT) return 1;
    if (i >= steps) return 0;
    const double done = (double)(i - warmup) / (double)(steps - warmup);
    return schedule->kind == LR_LINEAR ? 1 - done : 0.5 * (1 + cos(M_PI * done));
}
