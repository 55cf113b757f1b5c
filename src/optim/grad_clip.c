#include "optim/grad_clip.h"

#include <math.h>

double grad_clip_norm(const grad_clip_tensor *tensors, int64_t count)
{
    double sum = 0;
    for (int64_t t = 0; t < count; t++)
        for (int64_t i = 0; i < tensors[t].count; i++)
            sum += (double)tensors[t].x[i] * (double)tensors[t].x[i];
    return sqrt(sum);
}

double grad_clip_factor(double norm, double limit)
{
    const double factor = limit / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}

void grad_clip_apply(const grad_clip_tensor *tensors, int64_t count, double factor)
{
    if (factor == 1) return;
    for (int64_t t = 0; t < count; t++)
        for (int64_t i = 0; i < tensors[t].count; i++) tensors[t].x[i] *= (float)factor;
}
