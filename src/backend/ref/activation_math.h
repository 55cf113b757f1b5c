/* activation_math.h: f(x) and f'(x) of the activations, in double; group_norm and geglu use them
 * too. */
#pragma once

#include <math.h>

#include "graph/op.h"

static inline double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* P(Z <= x) and the density of a standard normal Z. */
static inline double normal_cdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
static inline double normal_pdf(double x)
{
    return exp(-0.5 * x * x) * 0.5 * M_2_SQRTPI * M_SQRT1_2;
}

/* silu x sigmoid(x); gelu x cdf(x); quick_gelu x sigmoid(1.702 x)   Hendrycks & Gimpel, 1606.08415
 */
static inline double activate(soda_activation kind, double x)
{
    switch (kind) {
    case ACT_SILU: return x * sigmoid(x);
    case ACT_GELU: return x * normal_cdf(x);
    case ACT_QUICK_GELU: return x * sigmoid(1.702 * x);
    case ACT_RELU: return x <= 0 ? 0 : x; /* NaN stays */
    }
    return 0;
}

/* f'(x); relu has slope 0 at 0. */
static inline double activate_slope(soda_activation kind, double x)
{
    switch (kind) {
    case ACT_SILU: return sigmoid(x) * (1 + x * sigmoid(-x));
    case ACT_GELU: return normal_cdf(x) + x * normal_pdf(x);
    case ACT_QUICK_GELU: return sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x));
    case ACT_RELU: return x <= 0 ? 0 : 1;
    }
    return 0;
}
