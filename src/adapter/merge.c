#include "adapter/merge.h"

#include <stdlib.h>
#include <string.h>

#include "adapter/lapack.h"

soda_status merge_read_weight(const soda_weight *weight, float *values)
{
    const int64_t count = shape_count(&weight->source.shape);
    const char *bytes = weight->source.data;
    for (int64_t i = 0; i < count; i++) {
        uint16_t half = 0;
        switch (weight->source.dtype) { /* memcpy: a file's tensors may lie anywhere */
        case SODA_F32: memcpy(&values[i], bytes + 4 * i, sizeof(float)); break;
        case SODA_BF16:
            memcpy(&half, bytes + 2 * i, sizeof half);
            values[i] = bf16_to_float(half);
            break;
        case SODA_F16:
            memcpy(&half, bytes + 2 * i, sizeof half);
            values[i] = f16_to_float(half);
            break;
        default:
            return FAIL(SODA_ERR_INPUT, "%s: a weight of type %s", weight->name,
                        dtype_name(weight->source.dtype));
        }
    }
    return SODA_OK;
}

/* row[l,j,r] = sum over i of row[l,i,r] R[i,j] (R[j,i] if transposed), l < left, r < right */
static void rotate_axis(double *row, double *old, int64_t left, int64_t n, int64_t right,
                        const float *R, bool transposed)
{
    memcpy(old, row, (size_t)(left * n * right) * sizeof *row);
    memset(row, 0, (size_t)(left * n * right) * sizeof *row);
    for (int64_t l = 0; l < left; l++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < n; i++) {
                const double a = (double)(transposed ? R[j * n + i] : R[i * n + j]);
                double *to = row + (l * n + j) * right;
                const double *from = old + (l * n + i) * right;
                for (int64_t r = 0; r < right; r++) to[r] += a * from[r];
            }
}

/* Every row of W [m,n] times R, or R'. */
static soda_status rotate_rows(const soda_layer *layer, const merge_params *params, bool transposed,
                               double *W)
{
    const int64_t *f = layer->factor, n = layer->n;
    double *old = malloc((size_t)n * sizeof *old);
    if (!old) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t row = 0; row < layer->m; row++) {
        double *x = W + row * n;
        rotate_axis(x, old, f[0] * f[1], f[2], 1, params->value[SODA_R3], transposed);
        rotate_axis(x, old, f[0], f[1], f[2], params->value[SODA_R2], transposed);
        rotate_axis(x, old, 1, f[0], f[1] * f[2], params->value[SODA_R1], transposed);
    }
    free(old);
    return SODA_OK;
}

/* W [m,n] <- alpha u [m,k] vh [k,n] + beta W, row-major: for LAPACK W' <- alpha vh' u' + beta W' */
static soda_status add_product(const soda_layer *layer, double alpha, const double *u,
                               const double *vh, double beta, double *W)
{
    const int64_t m = layer->m, n = layer->n;
    const lapack_routines *lapack;
    TRY(lapack_enter(&lapack));
    lapack->product((int[]){(int)n, (int)m, (int)(m < n ? m : n)}, alpha, vh, u, beta, W);
    lapack_leave();
    return SODA_OK;
}

/* W <- beta W + U diag(d) Vh with d = relu(s + delta), less s if `shift` */
static soda_status add_spectrum(const soda_layer *layer, const float *delta, bool shift,
                                double beta, double *W)
{
    const int64_t m = layer->m, n = layer->n, k = m < n ? m : n;
    const float *s = layer->basis[1].source.data;
    double *u = malloc((size_t)(m * k) * sizeof *u), *vh = malloc((size_t)(k * n) * sizeof *vh);
    if (!u || !vh) {
        free(u);
        free(vh);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    }
    for (int64_t i = 0; i < m * k; i++) {
        /* The sum is fp32, as in the network: the gate is open for the same columns. */
        const float sum = s[i % k] + delta[i % k];
        const double d = (sum > 0 ? (double)sum : 0) - (shift ? (double)s[i % k] : 0);
        u[i] = d * (double)((const float *)layer->basis[0].source.data)[i];
    }
    for (int64_t i = 0; i < k * n; i++)
        vh[i] = (double)((const float *)layer->basis[2].source.data)[i];
    const soda_status status = add_product(layer, shift ? -1.0 : 1.0, u, vh, beta, W);
    free(u);
    free(vh);
    return status;
}

/* W <- W + sign diag(delta) Q on the first k rows */
static void add_rows(const soda_layer *layer, const float *delta, double sign, double *W)
{
    const int64_t n = layer->n, k = layer->m < n ? layer->m : n;
    const float *Q = layer->basis[0].source.data;
    for (int64_t i = 0; i < k * n; i++) W[i] += sign * (double)delta[i / n] * (double)Q[i];
}

static soda_status read_w0(const soda_layer *layer, float **values)
{
    *values = malloc((size_t)(layer->m * layer->n) * sizeof(float));
    if (!*values) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    const soda_status s = merge_read_weight(&layer->w0, *values);
    if (s != SODA_OK) free(*values);
    return s;
}

soda_status merge_effective(const soda_layer *layer, const merge_params *params, double *W)
{
    const float *delta = params->value[SODA_DELTA];
    if (layer->method == SODA_METHOD_SVD) {
        TRY(add_spectrum(layer, delta, false, 0, W));
    } else {
        float *w0;
        TRY(read_w0(layer, &w0));
        /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): w0 is a tensor of [m,n] */
        for (int64_t i = 0; i < layer->m * layer->n; i++) W[i] = (double)w0[i];
        free(w0);
        add_rows(layer, delta, 1, W);
    }
    return rotate_rows(layer, params, true, W);
}

soda_status merge_add_residual(const soda_layer *layer, const merge_params *params, double weight,
                               double *sum)
{
    const int64_t count = layer->m * layer->n;
    double *W = malloc((size_t)count * sizeof *W);
    float *w0 = NULL;
    soda_status s = W ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    if (s == SODA_OK) s = read_w0(layer, &w0);
    if (s == SODA_OK) {
        s = merge_effective(layer, params, W);
        for (int64_t i = 0; s == SODA_OK && i < count; i++)
            /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): [m,n] */
            sum[i] += weight * (W[i] - (double)w0[i]);
        free(w0);
    }
    free(W);
    return s;
}

soda_status merge_remove(const soda_layer *layer, const merge_params *params, double *W)
{
    TRY(rotate_rows(layer, params, false, W));
    if (layer->method == SODA_METHOD_SVD)
        return add_spectrum(layer, params->value[SODA_DELTA], true, 1, W);
    add_rows(layer, params->value[SODA_DELTA], -1, W);
    return SODA_OK;
}
