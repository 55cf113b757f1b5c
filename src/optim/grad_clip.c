#include "optim/grad_clip.h"

#include <math.h>

double grad_clip_norm(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

double grad_clip_factor(double norm, double limit)
{
    const double factor = limit / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}
