#include "adapter/spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/lapack.h"

static int falling(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

soda_status spectrum_no_memory(const soda_layer *layer)
{
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its spectrum", layer->name);
}

soda_status spectrum_lapack_failed(const soda_layer *layer, const char *function, int info)
{
    return FAIL(info == LAPACK_NO_MEMORY ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                "%s: its spectrum cannot be computed: LAPACK's %s returned %d", layer->name,
                function, info);
}

static soda_status not_finite(const soda_layer *layer, const char *what, int64_t element)
{
    return FAIL(SODA_ERR_NUMERIC, "%s: element %lld of %s is not finite", layer->name,
                (long long)element, what);
}

static soda_status check_finite(const soda_layer *layer, method_values values)
{
    for (int t = 0; layer->method->tensors[t]; t++) {
        const soda_shape shape = method_tensor_shape(layer, t);
        for (int64_t i = 0; i < shape_count(&shape); i++)
            if (!isfinite(values[t][i]))
                return not_finite(layer, layer->method->tensors[t]->leaf, i);
    }
    return SODA_OK;
}

soda_status spectrum_of_dense(const soda_layer *layer, double *W, float *sigma)
{
    const int64_t m = layer->m, n = layer->n, k = method_rank(layer);
    double *values = malloc((size_t)k * sizeof *values);
    if (!values) return spectrum_no_memory(layer);
    const lapack_routines *lapack;
    soda_status s = SODA_OK;
    for (int64_t i = 0; i < m * n && s == SODA_OK; i++)
        if (!isfinite(W[i])) s = not_finite(layer, "the weight", i);
    TRY_TO(done, s);
    TRY_TO(done, lapack_enter(&lapack));
    /* Row-major [m,n] is column-major [n,m]: LAPACK sees W', which has the same values. */
    const int info = lapack->svd('N', (int)n, (int)m, W, values, NULL, NULL);
    lapack_leave();
    if (info) s = spectrum_lapack_failed(layer, "dgesdd", info);
    for (int64_t i = 0; !info && i < k; i++) sigma[i] = (float)values[i];
done:
    free(values);
    return s;
}

static soda_status merged_values(const soda_layer *layer, method_values values, float *sigma)
{
    double *W = malloc((size_t)(layer->m * layer->n) * sizeof *W);
    if (!W) return spectrum_no_memory(layer);
    soda_status s = values ? layer->method->merge(layer, values, W) : merge_read_wide(layer, W);
    if (s == SODA_OK) s = spectrum_of_dense(layer, W, sigma);
    free(W);
    return s;
}

/* [k], falling */
static soda_status values_of(const soda_layer *layer, method_values values, float *sigma)
{
    const soda_method *method = layer->method;
    TRY((method->sigma ? method->sigma : merged_values)(layer, values, sigma));
    qsort(sigma, (size_t)method_rank(layer), sizeof *sigma, falling);
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

soda_status spectrum_compute(const soda_layer *layer, method_values values, soda_spectrum *spectrum)
{
    const size_t n = (size_t)layer->n;
    TRY(check_finite(layer, values));
    TRY(values_of(layer, values, spectrum->sigma));
    memset(spectrum->angles, 0, n * sizeof *spectrum->angles);
    memset(spectrum->orthogonality, 0, sizeof spectrum->orthogonality);
    if (layer->method->angles)
        TRY(layer->method->angles(layer, values, spectrum->angles, spectrum->orthogonality));
    qsort(spectrum->angles, n, sizeof *spectrum->angles, falling);
    spectrum->effective_rank = spectrum_effective_rank(spectrum->sigma, method_rank(layer));
    return SODA_OK;
}
