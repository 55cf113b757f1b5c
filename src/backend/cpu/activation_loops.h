/* activation_loops.h: the loops of activation.c and geglu.c. Every loop may work in place. */

static void LOOP(silu)(const void *from, void *to, int64_t n)
{
    const T *x = from;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        float rest;
        y[i] = STORE(v * simd_sigmoid(v, &rest));
    }
}

static void LOOP(gelu)(const void *from, void *to, int64_t n)
{
    const T *x = from;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        y[i] = STORE(v * simd_normal_cdf(v));
    }
}

static void LOOP(quick_gelu)(const void *from, void *to, int64_t n)
{
    const T *x = from;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        float rest;
        y[i] = STORE(v * simd_sigmoid(1.702f * v, &rest));
    }
}

static void LOOP(relu)(const void *from, void *to, int64_t n)
{
    const T *x = from;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        y[i] = STORE(v < 0.0f ? 0.0f : v);
    }
}

/* s = sigmoid(x): (x s)' = s + x s (1 - s) */
static void LOOP(silu_grad)(const void *gradient, const void *from, void *to, int64_t n)
{
    const T *dy = gradient, *x = from;
    T *dx = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        float rest;
        const float s = simd_sigmoid(v, &rest);
        dx[i] = STORE(LOAD(dy[i]) * (s + v * s * rest));
    }
}

/* (x Phi(x))' = Phi(x) + x phi(x) */
static void LOOP(gelu_grad)(const void *gradient, const void *from, void *to, int64_t n)
{
    const T *dy = gradient, *x = from;
    T *dx = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = LOAD(x[i]);
        dx[i] = STORE(LOAD(dy[i]) * (simd_normal_cdf(v) + v * simd_normal_density(v)));
    }
}

/* With u = 1.702 x and s = sigmoid(u): (x s)' = s + u s (1 - s) */
static void LOOP(quick_gelu_grad)(const void *gradient, const void *from, void *to, int64_t n)
{
    const T *dy = gradient, *x = from;
    T *dx = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float u = 1.702f * LOAD(x[i]);
        float rest;
        const float s = simd_sigmoid(u, &rest);
        dx[i] = STORE(LOAD(dy[i]) * (s + u * s * rest));
    }
}

static void LOOP(relu_grad)(const void *gradient, const void *from, void *to, int64_t n)
{
    const T *dy = gradient, *x = from;
    T *dx = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float d = LOAD(dy[i]);
        dx[i] = STORE(LOAD(x[i]) <= 0.0f ? 0.0f : d);
    }
}

/* Rows x = (a, b) of 2 n: y = a gelu(b). */
static void LOOP(geglu)(const void *from, void *to, int64_t rows, int64_t n)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *a = (const T *)from + row * 2 * n, *b = a + n;
        T *y = (T *)to + row * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = LOAD(b[i]);
            y[i] = STORE(LOAD(a[i]) * (v * simd_normal_cdf(v)));
        }
    }
}

/* da = dy gelu(b), db = dy a gelu'(b) */
static void LOOP(geglu_grad)(const void *gradient, const void *from, void *to, int64_t rows,
                             int64_t n)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *dy = (const T *)gradient + row * n;
        const T *a = (const T *)from + row * 2 * n, *b = a + n;
        T *da = (T *)to + row * 2 * n, *db = da + n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = LOAD(b[i]), d = LOAD(dy[i]), p = simd_normal_cdf(v);
            const float da_i = d * (v * p);
            db[i] = STORE(d * LOAD(a[i]) * (p + v * simd_normal_density(v)));
            da[i] = STORE(da_i);
        }
    }
}

static const struct activation_loops LOOP(activation_loops) = {
    .forward = {[ACT_SILU] = LOOP(silu),
                [ACT_GELU] = LOOP(gelu),
                [ACT_QUICK_GELU] = LOOP(quick_gelu),
                [ACT_RELU] = LOOP(relu)},
    .backward = {[ACT_SILU] = LOOP(silu_grad),
                 [ACT_GELU] = LOOP(gelu_grad),
                 [ACT_QUICK_GELU] = LOOP(quick_gelu_grad),
                 [ACT_RELU] = LOOP(relu_grad)},
    .geglu = LOOP(geglu),
    .geglu_grad = LOOP(geglu_grad),
};
