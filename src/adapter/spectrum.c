#include "adapter/spectrum.h"

#include <math.h>
#include <stdlib.h>

#include "adapter/lapack.h"

static int falling(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static soda_status no_memory(const soda_layer *layer)
{
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its spectrum", layer->name);
}

static soda_status lapack_failed(const soda_layer *layer, const char *function, int info)
{
    return FAIL(info == LAPACK_NO_MEMORY ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                "%s: its spectrum cannot be computed: LAPACK's %s returned %d", layer->name,
                function, info);
}

/* values [k]: the singular values of W [m,n], which is overwritten. */
static soda_status singular_values(const soda_layer *layer, double *W, double *values)
{
    const lapack_routines *lapack;
    TRY(lapack_enter(&lapack));
    /* Row-major [m,n] is column-major [n,m]: LAPACK sees W', which has the same values. */
    const int info = lapack->svd('N', (int)layer->n, (int)layer->m, W, values, NULL, NULL);
    lapack_leave();
    return info ? lapack_failed(layer, "dgesdd", info) : SODA_OK;
}

/* The eigenvalues of R [n,n], which is overwritten: real and imaginary parts [n]. */
static soda_status eigenvalues(const soda_layer *layer, double *R, int64_t n, double *real,
                               double *imaginary)
{
    const lapack_routines *lapack;
    TRY(lapack_enter(&lapack));
    const int info = lapack->eigenvalues((int)n, R, real, imaginary);
    lapack_leave();
    return info ? lapack_failed(layer, "dgeev", info) : SODA_OK;
}

static soda_status check_finite(const soda_layer *layer, const char *what, const float *values,
                                int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return FAIL(SODA_ERR_NUMERIC, "%s: element %lld of %s is not finite", layer->name,
                        (long long)i, what);
    return SODA_OK;
}

/* sigma [k] of W0 + diag(delta) Q on the first k rows; of W0 if delta is NULL. */
static soda_status dense_values(const soda_layer *layer, const float *delta, float *sigma)
{
    const int64_t m = layer->m, n = layer->n, k = m < n ? m : n;
    const float *Q = layer->basis[0].source.data;
    soda_status s = SODA_OK;
    float *w0 = malloc((size_t)(m * n) * sizeof *w0);
    double *W = calloc((size_t)(m * n), sizeof *W), *values = malloc((size_t)k * sizeof *values);
    if (!w0 || !W || !values) {
        s = no_memory(layer);
        goto done;
    }
    TRY_TO(done, merge_read_weight(&layer->w0, w0));
    TRY_TO(done, check_finite(layer, "the weight", w0, m * n));
    for (int64_t i = 0; i < m * n; i++) W[i] = (double)w0[i];
    for (int64_t i = 0; delta && i < k * n; i++) W[i] += (double)delta[i / n] * (double)Q[i];
    TRY_TO(done, singular_values(layer, W, values));
    for (int64_t i = 0; i < k; i++) sigma[i] = (float)values[i];
done:
    free(w0);
    free(W);
    free(values);
    return s;
}

/* relu(s + delta), sorted. The sum is fp32, as in the network. */
static void shifted_values(const soda_layer *layer, const float *delta, float *sigma)
{
    const int64_t k = layer->m < layer->n ? layer->m : layer->n;
    const float *s = layer->basis[1].source.data;
    for (int64_t i = 0; i < k; i++) {
        const float sum = delta ? s[i] + delta[i] : s[i];
        sigma[i] = sum > 0 ? sum : 0;
    }
    qsort(sigma, (size_t)k, sizeof *sigma, falling);
}

static soda_status values_of(const soda_layer *layer, const float *delta, float *sigma)
{
    if (layer->method == SODA_METHOD_LQ) return dense_values(layer, delta, sigma);
    shifted_values(layer, delta, sigma);
    return SODA_OK;
}

soda_status spectrum_start(const soda_layer *layer, float *sigma0)
{
    return values_of(layer, NULL, sigma0);
}

double spectrum_effective_rank(const float *sigma, int64_t k)
{
    double sum = 0, entropy = 0;
    for (int64_t i = 0; i < k; i++) sum += (double)sigma[i];
    for (int64_t i = 0; i < k; i++) {
        const double p = (double)sigma[i] / sum;
        if (sigma[i] > 0) entropy -= p * log(p);
    }
    return sum > 0 ? exp(entropy) : 0;
}

/* ||R'R - I||_F of R [n,n], row-major */
static double orthogonality(const double *R, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++) {
            double dot = i == j ? -1 : 0;
            for (int64_t r = 0; r < n; r++) dot += R[r * n + i] * R[r * n + j];
            sum += (i == j ? 1 : 2) * dot * dot;
        }
    return sqrt(sum);
}

/* The arguments [n] of the eigenvalues of one factor, and how far it is from a rotation. */
static soda_status factor_angles(const soda_layer *layer, int factor, const float *values,
                                 double *angles, double *distance)
{
    static const char *const names[] = {"soda.R1", "soda.R2", "soda.R3"};
    const int64_t n = layer->factor[factor];
    soda_status s = SODA_OK;
    TRY(check_finite(layer, names[factor], values, n * n));
    double *R = calloc((size_t)(n * n), sizeof *R), *parts = calloc((size_t)n * 2, sizeof *parts);
    if (!R || !parts) {
        s = no_memory(layer);
        goto done;
    }
    for (int64_t i = 0; i < n * n; i++) R[i] = (double)values[i];
    *distance = orthogonality(R, n);
    TRY_TO(done, eigenvalues(layer, R, n, parts, parts + n));
    for (int64_t i = 0; i < n; i++) angles[i] = atan2(parts[n + i], parts[i]);
done:
    free(R);
    free(parts);
    return s;
}

/* |sum| as an angle in [0, pi], which rounding must not leave: the nearest fp32 is above pi. */
static float folded(double sum)
{
    const float angle = (float)fabs(remainder(sum, 2 * M_PI));
    return (double)angle > M_PI ? nextafterf(angle, 0) : angle;
}

static soda_status rotation_angles(const soda_layer *layer, const merge_params *params,
                                   soda_spectrum *spectrum)
{
    const int64_t *f = layer->factor;
    double *angles = malloc((size_t)(f[0] + f[1] + f[2]) * sizeof *angles);
    if (!angles) return no_memory(layer);
    double *const of[3] = {angles, angles + f[0], angles + f[0] + f[1]};
    soda_status s = SODA_OK;
    for (int i = 0; i < 3; i++)
        TRY_TO(done, factor_angles(layer, i, params->value[SODA_R1 + i], of[i],
                                   &spectrum->orthogonality[i]));
    for (int64_t i = 0; i < layer->n; i++)
        spectrum->angles[i] =
            folded(of[0][i / (f[1] * f[2])] + of[1][i / f[2] % f[1]] + of[2][i % f[2]]);
    qsort(spectrum->angles, (size_t)layer->n, sizeof *spectrum->angles, falling);
done:
    free(angles);
    return s;
}

soda_status spectrum_compute(const soda_layer *layer, const merge_params *params,
                             soda_spectrum *spectrum)
{
    const int64_t k = layer->m < layer->n ? layer->m : layer->n;
    TRY(check_finite(layer, "soda.delta", params->value[SODA_DELTA], k));
    TRY(values_of(layer, params->value[SODA_DELTA], spectrum->sigma));
    TRY(rotation_angles(layer, params, spectrum));
    spectrum->effective_rank = spectrum_effective_rank(spectrum->sigma, k);
    return SODA_OK;
}
