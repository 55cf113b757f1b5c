/* simd_math_loops.h: the functions of simd_math.h as loops, for test_simd_math.c. */

static void LOOP(exp)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = simd_exp(x[i]);
}

static void LOOP(erf)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = simd_erf(x[i]);
}

static void LOOP(normal_cdf)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = simd_normal_cdf(x[i]);
}

static void LOOP(reciprocal)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = simd_reciprocal(x[i]);
}

static void LOOP(sigmoid)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float rest;
        y[i] = simd_sigmoid(x[i], &rest);
    }
}

static void LOOP(sigmoid_rest)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float rest;
        simd_sigmoid(x[i], &rest);
        y[i] = rest;
    }
}

static void LOOP(round_to_bf16)(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = simd_from_bf16(simd_to_bf16(x[i]));
}

static const struct math_loops LOOP(math_loops) = {
    {LOOP(exp), LOOP(erf), LOOP(normal_cdf), LOOP(reciprocal), LOOP(sigmoid), LOOP(sigmoid_rest)},
    LOOP(round_to_bf16),
};
