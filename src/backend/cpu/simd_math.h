/* simd_math.h: exp, erfc and friends in fp32 without branches, tables or calls, so that gcc and
 * clang turn a loop over them into vector code for any instruction set. NaN stays NaN.
 *
 * The polynomials were fitted for this file (minimax by iteratively reweighted least squares). */
#pragma once

#include <stdint.h>

#define SIMD_INLINE static inline __attribute__((always_inline))

/* Before a loop of a few constant steps: leave no loop. */
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 32")
#endif

typedef union {
    float f;
    uint32_t u;
} simd_bits;

SIMD_INLINE float simd_from_bf16(uint16_t h)
{
    const simd_bits v = {.u = (uint32_t)h << 16};
    return v.f;
}

/* Round to nearest even; the same bits as bf16_from_float, which has a branch for NaN. */
SIMD_INLINE uint16_t simd_to_bf16(float f)
{
    const simd_bits v = {.f = f};
    const uint32_t rounded = v.u + 0x7fffu + (v.u >> 16 & 1u);
    return (uint16_t)((f == f ? rounded : (v.u | 0x400000u)) >> 16);
}

/* e^x within 2 units in the last place for x in [-87.3, 88.3]; 0 below, about 2e38 above.
 * e^x = 2^k e^r with k = round(x / ln 2) and |r| <= ln(2)/2; e^r by a polynomial with relative
 * error 3e-9. k is found by adding 1.5 * 2^23, which leaves it in the low bits. */
SIMD_INLINE float simd_exp(float x)
{
    float c = x < -87.3f ? -87.3f : x;
    c = c > 88.3f ? 88.3f : c;
    const simd_bits shifted = {.f = c * 1.44269504f + 12582912.0f};
    const float k = shifted.f - 12582912.0f;
    float r = c - k * 0.693359375f; /* ln 2 in two parts: the first times k is exact */
    r = r - k * -2.12194440e-4f;
    float p = 0.00138145988f;
    p = p * r + 0.00836871751f;
    p = p * r + 0.0416683890f;
    p = p * r + 0.166665211f;
    p = p * r + 0.49999994f;
    const float e = (p * (r * r) + r) + 1.0f;
    const simd_bits power = {.u = (shifted.u + 127u) << 23}; /* 2^k */
    return x < -87.3f ? 0.0f : e * power.f;
}

/* 1/x within 2 units in the last place for x in [2^-120, 2^120]: a division takes four times as
 * long. The first guess subtracts exponents and is off by 12 % at most; each step cubes that. */
SIMD_INLINE float simd_reciprocal(float x)
{
    const simd_bits v = {.f = x};
    const simd_bits guess = {.u = 0x7ef311c7u - v.u};
    float r = guess.f;
    float e = 1.0f - x * r;
    r = r + r * (e + e * e);
    e = 1.0f - x * r;
    return r + r * (e + e * e);
}

/* 1 / (1 + e^-x); *rest = 1 - that, without cancellation. Below -80 it is that of -80, 2e-35. */
SIMD_INLINE float simd_sigmoid(float x, float *rest)
{
    const float e = simd_exp(x < -80.0f ? 80.0f : -x);
    const float s = simd_reciprocal(1.0f + e);
    *rest = e * s;
    return s;
}

/* erfc(x) for x >= 0 with absolute error 1e-7: e^(-x q(x)), q fitted on [0,4] to
 * -log(erfc(x)) / x; beyond, q grows, so the value stays below 2e-8 and falls to 0. */
SIMD_INLINE float simd_erfc(float x)
{
    float q = 3.144011498e-5f;
    q = q * x - 3.088018857e-4f;
    q = q * x + 1.032400876e-3f;
    q = q * x + 5.369341816e-4f;
    q = q * x - 0.0195839610f;
    q = q * x + 0.102919616f;
    q = q * x + 0.636597753f;
    q = q * x + 1.12838030f;
    return simd_exp(-(q * x));
}

/* erf(x), absolute error 1e-7. */
SIMD_INLINE float simd_erf(float x)
{
    const float c = simd_erfc(x < 0.0f ? -x : x);
    return x < 0.0f ? c - 1.0f : 1.0f - c;
}

/* The standard normal distribution function Phi(x) = erfc(-x / sqrt 2) / 2. */
SIMD_INLINE float simd_normal_cdf(float x)
{
    const float half = 0.5f * simd_erfc((x < 0.0f ? -x : x) * 0.707106781f);
    return x < 0.0f ? half : 1.0f - half;
}

/* Its density, e^(-x^2/2) / sqrt(2 pi). */
SIMD_INLINE float simd_normal_density(float x) { return 0.398942280f * simd_exp(-0.5f * (x * x)); }
