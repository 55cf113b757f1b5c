#include "optim/adamw.h"

#include <math.h>

void adamw_step(const adamw_options *options, int64_t t, int64_t n, float *x, const float *g,
                float *m, float *v)
{
    const double beta1 = options->beta1, beta2 = options->beta2;
    const double rate = options->lr / (1 - pow(beta1, (double)t));
    const double correction2 = 1 - pow(beta2, (double)t);
    const double keep = 1 - options->lr * options->weight_decay;
    for (int64_t i = 0; i < n; i++) {
        const double gi = (double)g[i];
        m[i] = (float)(beta1 * (double)m[i] + (1 - beta1) * gi);
        v[i] = (float)(beta2 * (double)v[i] + (1 - beta2) * gi * gi);
        const double denominator = sqrt((double)v[i] / correction2) + options->eps;
        x[i] = (float)((double)x[i] * keep - rate * (double)m[i] / denominator);
    }
}
