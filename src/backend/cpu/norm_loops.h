/* norm_loops.h: the loops of group_norm.c and layer_norm.c. x, dy, y, dx are [rows,C]; what is per
 * channel is fp32 [C]. */

/* sum[c] = sum of x - pivot[c], square[c] = sum of its square. A pivot near the channel's mean
 * keeps the digits that a variance needs. Four rows at a time: the sums are read and written once
 * for them. */
static void LOOP(moments)(const void *from, const float *pivot, int64_t rows, int64_t C,
                          float *restrict sum, float *restrict square)
{
    for (int64_t c = 0; c < C; c++) sum[c] = square[c] = 0.0f;
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) {
        const T *x0 = (const T *)from + row * C, *x1 = x0 + C, *x2 = x1 + C, *x3 = x2 + C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float p = pivot[c];
            const float d0 = LOAD(x0[c]) - p, d1 = LOAD(x1[c]) - p;
            const float d2 = LOAD(x2[c]) - p, d3 = LOAD(x3[c]) - p;
            sum[c] += (d0 + d1) + (d2 + d3);
            square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; row < rows; row++) {
        const T *x = (const T *)from + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float d = LOAD(x[c]) - pivot[c];
            sum[c] += d;
            square[c] += d * d;
        }
    }
}

/* y = (x - mean) a + beta */
static void LOOP(affine)(const void *from, const float *mean, const float *a, const float *beta,
                         int64_t rows, int64_t C, void *to)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *x = (const T *)from + row * C;
        T *y = (T *)to + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) y[c] = STORE((LOAD(x[c]) - mean[c]) * a[c] + beta[c]);
    }
}

/* y = silu((x - mean) a + beta) */
static void LOOP(affine_silu)(const void *from, const float *mean, const float *a,
                              const float *beta, int64_t rows, int64_t C, void *to)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *x = (const T *)from + row * C;
        T *y = (T *)to + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float z = (LOAD(x[c]) - mean[c]) * a[c] + beta[c];
            float rest;
            y[c] = STORE(z * simd_sigmoid(z, &rest));
        }
    }
}

/* plain[c] = sum of dy, cross[c] = sum of dy (x - mean) */
static void LOOP(grad_sums)(const void *gradient, const void *from, const float *mean,
                            const float *a, const float *beta, int64_t rows, int64_t C,
                            float *restrict plain, float *restrict cross, void *to)
{
    (void)a, (void)beta, (void)to;
    for (int64_t c = 0; c < C; c++) plain[c] = cross[c] = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * C, *x = (const T *)from + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float d = LOAD(dy[c]);
            plain[c] += d;
            cross[c] += d * (LOAD(x[c]) - mean[c]);
        }
    }
}

/* The same with d = dy silu'(z), z = (x - mean) a + beta, in place of dy. In
 * fp32 `to` gets d: grad goes on from there and needs no second exp. bf16 would round it. */
static void LOOP(grad_sums_silu)(const void *gradient, const void *from, const float *mean,
                                 const float *a, const float *beta, int64_t rows, int64_t C,
                                 float *restrict plain, float *restrict cross, void *to)
{
    for (int64_t c = 0; c < C; c++) plain[c] = cross[c] = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * C, *x = (const T *)from + row * C;
        T *kept = (T *)to + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float v = LOAD(x[c]) - mean[c], z = v * a[c] + beta[c];
            float rest;
            const float s = simd_sigmoid(z, &rest);
            const float d = LOAD(dy[c]) * (s + z * s * rest);
            if (sizeof(T) == sizeof(float)) kept[c] = STORE(d);
            plain[c] += d;
            cross[c] += d * v;
        }
    }
}

/* dx = a dy - plain - (x - mean) cross */
static void LOOP(grad)(const void *gradient, const void *from, const float *mean, const float *a,
                       const float *beta, const float *plain, const float *cross, int64_t rows,
                       int64_t C, void *to)
{
    (void)beta;
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * C, *x = (const T *)from + row * C;
        T *dx = (T *)to + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            dx[c] = STORE(a[c] * LOAD(dy[c]) - plain[c] - (LOAD(x[c]) - mean[c]) * cross[c]);
    }
}

/* The same with dy times silu'(z), z = (x - mean) a + beta. */
static void LOOP(grad_silu)(const void *gradient, const void *from, const float *mean,
                            const float *a, const float *beta, const float *plain,
                            const float *cross, int64_t rows, int64_t C, void *to)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * C, *x = (const T *)from + row * C;
        T *dx = (T *)to + row * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const float v = LOAD(x[c]) - mean[c], z = v * a[c] + beta[c];
            float rest;
            const float s = simd_sigmoid(z, &rest);
            const float d = LOAD(dy[c]) * (s + z * s * rest);
            dx[c] = STORE(a[c] * d - plain[c] - v * cross[c]);
        }
    }
}

/* y = gamma (x - mean) / sqrt(var + eps) + beta, row by row; stats [rows,2] = mean, 1/std. */
static void LOOP(layer_norm)(const void *from, const float *gamma, const float *beta, float eps,
                             int64_t rows, int64_t C, void *to, float *stats)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *x = (const T *)from + row * C;
        T *y = (T *)to + row * C;
        float sum = 0.0f, square = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; c++) sum += LOAD(x[c]);
        const float mean = sum / (float)C;
#pragma omp simd reduction(+ : square)
        for (int64_t c = 0; c < C; c++) {
            const float d = LOAD(x[c]) - mean;
            square += d * d;
        }
        const float rstd = 1.0f / sqrtf(square / (float)C + eps);
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = STORE((LOAD(x[c]) - mean) * rstd * gamma[c] + beta[c]);
        stats[2 * row] = mean;
        stats[2 * row + 1] = rstd;
    }
}

/* g = gamma dy, h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)) */
static void LOOP(layer_norm_grad)(const void *gradient, const void *from, const float *gamma,
                                  const float *stats, int64_t rows, int64_t C, void *to)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * C, *x = (const T *)from + row * C;
        T *dx = (T *)to + row * C;
        const float mean = stats[2 * row], rstd = stats[2 * row + 1];
        float plain = 0.0f, cross = 0.0f;
#pragma omp simd reduction(+ : plain, cross)
        for (int64_t c = 0; c < C; c++) {
            const float g = gamma[c] * LOAD(dy[c]);
            plain += g;
            cross += g * (LOAD(x[c]) - mean);
        }
        plain *= rstd / (float)C;
        cross *= rstd * rstd * rstd / (float)C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            dx[c] = STORE(gamma[c] * LOAD(dy[c]) * rstd - plain - (LOAD(x[c]) - mean) * cross);
    }
}

static const struct norm_loops LOOP(norm_loops) = {
    .moments = LOOP(moments),
    .affine = {LOOP(affine), LOOP(affine_silu)},
    .grad_sums = {LOOP(grad_sums), LOOP(grad_sums_silu)},
    .grad = {LOOP(grad), LOOP(grad_silu)},
    .layer_norm = LOOP(layer_norm),
    .layer_norm_grad = LOOP(layer_norm_grad),
};
