/* adamw.h: AdamW for flat parameters (the spectrum). Rotations: optim/stiefel.h. */
#pragma once

#include <stdint.h>

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
} adamw_options;

/* What step t takes of the options: keep = 1 - lr weight_decay, rate = lr / (1 - beta1^t),
 * correction2 = 1 - beta2^t. */
typedef struct {
    double beta1, beta2, eps, keep, rate, correction2;
} adamw_rule;
adamw_rule adamw_rule_of(const adamw_options *options, int64_t t);

/* Step t = 1, 2, ... as torch.optim.AdamW does it (Loshchilov & Hutter, arXiv:1711.05101):
 *
 *     x <- x (1 - lr weight_decay)
 *     m <- beta1 m + (1 - beta1) g            v <- beta2 v + (1 - beta2) g^2
 *     x <- x - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * x, m, v in/out [n] fp32, m and v zero at first; g [n] fp32. Each element in fp64, rounded once
 * per line: the difference to torch's fp32 is rounding. A zero gradient still decays x. */
void adamw_step(const adamw_options *options, int64_t t, int64_t n, float *x, const float *g,
                float *m, float *v);

/* The same for a caller who has the numbers of the step. */
void adamw_apply(const adamw_rule *rule, int64_t n, float *x, const float *g, float *m, float *v);
