#include "optim/adamw.h"

#include <math.h>

adamw_rule adamw_rule_of(const adamw_options *options, int64_t t)
{
    return (adamw_rule){.beta1 = options->beta1,
                        .beta2 = options->beta2,
                        .eps = options->eps,
                        .keep = 1 - options->lr * options->weight_decay,
                        .rate = options->lr / (1 - pow(options->beta1, (double)t)),
                        .correction2 = 1 - pow(options->beta2, (double)t)};
}

void adamw_step(const adamw_options *options, int64_t t, int64_t n, float *x, const float *g,
                float *m, float *v)
{
    const adamw_rule rule = adamw_rule_of(options, t);
    adamw_apply(&rule, n, x, g, m, v);
}

void adamw_apply(const adamw_rule *rule, int64_t n, float *x, const float *g, float *m, float *v)
{
    const adamw_rule r = *rule;
    for (int64_t i = 0; i < n; i++) {
        const double gi = (double)g[i];
        m[i] = (float)(r.beta1 * (double)m[i] + (1 - r.beta1) * gi);
        v[i] = (float)(r.beta2 * (double)v[i] + (1 - r.beta2) * gi * gi);
        const double denominator = sqrt((double)v[i] / r.correction2) + r.eps;
        x[i] = (float)((double)x[i] * r.keep - r.rate * (double)m[i] / denominator);
    }
}
