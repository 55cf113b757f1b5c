/* elementwise_loops.h: the loops of add.c, scale.c, cast.c and their like. Every loop may work in
 * place, but for those that say otherwise. */

static void LOOP(add)(const void *left, const void *right, void *to, int64_t n)
{
    const T *a = left, *b = right;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = STORE(LOAD(a[i]) + LOAD(b[i]));
}

static void LOOP(scale)(const void *from, float factor, void *to, int64_t n)
{
    const T *x = from;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = STORE(factor * LOAD(x[i]));
}

static void LOOP(to_f32)(const void *from, float *y, int64_t n)
{
    const T *x = from;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = LOAD(x[i]);
}

static void LOOP(from_f32)(const float *x, void *to, int64_t n)
{
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = STORE(x[i]);
}

/* Lines of n elements -> lines of `padded` floats, whose rest is undefined: whole vectors, into the
 * next line, as long as there are enough lines. Not in place, and nor is its reverse. */
static void LOOP(spread_lines)(const void *from, int64_t lines, int64_t n, int64_t padded, float *y)
{
    const T *x = from;
    for (int64_t line = 0; line < lines; line++, x += n, y += padded) {
        if ((lines - line) * n < padded) {
            for (int64_t i = 0; i < n; i++) y[i] = LOAD(x[i]);
            continue;
        }
        for (int64_t i = 0; i < padded; i += SIMD_WIDTH)
#pragma omp simd
            for (int64_t k = i; k < i + SIMD_WIDTH; k++) y[k] = LOAD(x[k]);
    }
}

/* The reverse; a line's padding lands where the next line goes. */
static void LOOP(join_lines)(const float *x, int64_t lines, int64_t n, int64_t padded, void *to)
{
    T *y = to;
    for (int64_t line = 0; line < lines; line++, x += padded, y += n) {
        if ((lines - line) * n < padded) {
            for (int64_t i = 0; i < n; i++) y[i] = STORE(x[i]);
            continue;
        }
        for (int64_t i = 0; i < padded; i += SIMD_WIDTH)
#pragma omp simd
            for (int64_t k = i; k < i + SIMD_WIDTH; k++) y[k] = STORE(x[k]);
    }
}

/* Columns of `rows` rows of n, each times its own factor. */
static void LOOP(scale_columns)(const void *from, const float *factor, void *to, int64_t rows,
                                int64_t n)
{
    for (int64_t row = 0; row < rows; row++) {
        const T *x = (const T *)from + row * n;
        T *y = (T *)to + row * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = STORE(factor[i] * LOAD(x[i]));
    }
}

/* y[i] = x[i] + factor[i] h[i] */
static void LOOP(add_scaled)(const void *left, const void *right, const float *factor, void *to,
                             int64_t n)
{
    const T *x = left, *h = right;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = STORE(LOAD(x[i]) + factor[i] * LOAD(h[i]));
}

/* sum[i] = the sum of column i. */
static void LOOP(sum_columns)(const void *from, int64_t rows, int64_t n, float *sum)
{
    for (int64_t i = 0; i < n; i++) sum[i] = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        const T *x = (const T *)from + row * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += LOAD(x[i]);
    }
}

/* sum[i] = the sum of the products of column i of both. */
static void LOOP(dot_columns)(const void *left, int64_t stride, const void *right, int64_t rows,
                              int64_t n, float *sum)
{
    for (int64_t i = 0; i < n; i++) sum[i] = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        const T *a = (const T *)left + row * stride, *b = (const T *)right + row * n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += LOAD(a[i]) * LOAD(b[i]);
    }
}

/* y[i] = the sum of channel i over `lines` times `pixels` pixels; `stride` elements between lines.
 */
static void LOOP(sum_window)(const void *from, int64_t lines, int64_t stride, int64_t pixels,
                             int64_t C, void *to)
{
    T *y = to;
    float sum[64];
    for (int64_t c = 0; c < C; c += 64) {
        const int64_t n = C - c < 64 ? C - c : 64;
        for (int64_t i = 0; i < n; i++) sum[i] = 0.0f;
        for (int64_t line = 0; line < lines; line++)
            for (int64_t pixel = 0; pixel < pixels; pixel++) {
                const T *x = (const T *)from + line * stride + pixel * C + c;
#pragma omp simd
                for (int64_t i = 0; i < n; i++) sum[i] += LOAD(x[i]);
            }
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[c + i] = STORE(sum[i]);
    }
}

/* The sum of a b, in fp64. */
static double LOOP(dot)(const void *left, const void *right, int64_t n)
{
    const T *a = left, *b = right;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += (double)LOAD(a[i]) * (double)LOAD(b[i]);
    return sum;
}

/* The sum of (p - target)^2, in fp64. */
static double LOOP(squared_error)(const void *prediction, const float *target, int64_t n)
{
    const T *p = prediction;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)LOAD(p[i]) - (double)target[i];
        sum += d * d;
    }
    return sum;
}

static void LOOP(scaled_error)(const void *prediction, const float *target, float factor, void *to,
                               int64_t n)
{
    const T *p = prediction;
    T *y = to;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = STORE(factor * (LOAD(p[i]) - target[i]));
}

static const struct elementwise_loops LOOP(elementwise_loops) = {
    .add = LOOP(add),
    .scale = LOOP(scale),
    .to_f32 = LOOP(to_f32),
    .from_f32 = LOOP(from_f32),
    .spread_lines = LOOP(spread_lines),
    .join_lines = LOOP(join_lines),
    .scale_columns = LOOP(scale_columns),
    .add_scaled = LOOP(add_scaled),
    .sum_columns = LOOP(sum_columns),
    .dot_columns = LOOP(dot_columns),
    .sum_window = LOOP(sum_window),
    .dot = LOOP(dot),
    .squared_error = LOOP(squared_error),
    .scaled_error = LOOP(scaled_error),
};
