/* activation.cuh: the activations and their slopes in fp32; NaN stays NaN.
 *
 *     silu x s(x), quick_gelu x s(1.702 x), gelu x Phi(x), s(x) = 1 / (1 + e^-x)
 *     f' = s(ax) (1 + a x s(-ax)) of the first two, Phi(x) + x phi(x) of gelu   (Hendrycks &
 * Gimpel, arXiv:1606.08415) */
#pragma once

#include "cuda/gpu.cuh"

enum { SILU, GELU, QUICK_GELU, RELU }; /* soda_activation; activation.c checks it */

/* e^-x = inf gives 0, as it should */
static __device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* Phi and phi of the standard normal distribution. */
static __device__ __forceinline__ float normal_cdf(float x)
{
    return 0.5f * erfcf(-0.70710678f * x);
}
static __device__ __forceinline__ float normal_density(float x)
{
    return 0.39894228f * expf(-0.5f * (x * x));
}

static __device__ __forceinline__ float activate(int kind, float x)
{
    switch (kind) {
    case SILU: return x * sigmoid(x);
    case GELU: return x * normal_cdf(x);
    case QUICK_GELU: return x * sigmoid(1.702f * x);
    default: return x <= 0 ? 0 : x;
    }
}

/* The slope of x s(a x). */
static __device__ __forceinline__ float gated_slope(float x, float a)
{
    return sigmoid(a * x) * (1.0f + a * x * sigmoid(-a * x));
}

/* relu has slope 0 at 0. */
static __device__ __forceinline__ float activate_slope(int kind, float x)
{
    switch (kind) {
    case SILU: return gated_slope(x, 1.0f);
    case GELU: return normal_cdf(x) + x * normal_density(x);
    case QUICK_GELU: return gated_slope(x, 1.702f);
    default: return x <= 0 ? 0 : 1;
    }
}
