#include "adapter/kronecker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/lapack.h"
#include "adapter/spectrum.h"

enum { MOST_WIDTH = 1 << 20 }; /* as factors.h: products of three fit an int64_t */

static soda_shape factor_shape(const soda_layer *layer, int i)
{
    return SHAPE(layer->factor[i], layer->factor[i]);
}

static void identity(const method_options *options, const soda_shape *shape, float *values)
{
    const int64_t n = shape->dim[0];
    (void)options;
    for (int64_t i = 0; i < n * n; i++) values[i] = i % (n + 1) == 0 ? 1.0f : 0.0f;
}

const method_tensor kronecker_R1 = {"soda.R1", METHOD_ROTATION, factor_shape, identity};
const method_tensor kronecker_R2 = {"soda.R2", METHOD_ROTATION, factor_shape, identity};
const method_tensor kronecker_R3 = {"soda.R3", METHOD_ROTATION, factor_shape, identity};

soda_status kronecker_choose(const method_options *options, soda_layer *layer)
{
    return factors_choose(&options->factors, layer->n, layer->factor);
}

int kronecker_sizes(const soda_layer *layer, int64_t sizes[METHOD_SIZES])
{
    memcpy(sizes, layer->factor, sizeof layer->factor);
    return 3;
}

int kronecker_fit(const soda_shape *shape, soda_layer *layer, char *text, size_t size)
{
    int64_t *f = layer->factor, product = 1;
    for (int i = 0; i < 3; i++) product *= f[i] = shape[i].dim[0];
    if (layer->n > 0 && product != layer->n) {
        snprintf(text, size,
                 "with R2 and R3, expected sides that multiply to %lld (in_features of the "
                 "model's layer), found %lld x %lld x %lld",
                 (long long)layer->n, (long long)f[0], (long long)f[1], (long long)f[2]);
        return 0;
    }
    if (product > MOST_WIDTH) {
        snprintf(text, size, "with R2 and R3, expected sides that multiply to at most %d",
                 MOST_WIDTH);
        return 0;
    }
    layer->n = product;
    for (int i = 3; layer->method->tensors[i]; i++) {
        if (layer->m > 0 || shape[i].dim[0] <= product) continue;
        snprintf(text, size, "expected at most %lld elements, as R1, R2 and R3 say, found %lld",
                 (long long)product, (long long)shape[i].dim[0]);
        return i;
    }
    return -1;
}

/* row[l,j,r] = sum over i of row[l,i,r] R[j,i], l < left, r < right */
static void rotate_axis(double *row, double *old, int64_t left, int64_t n, int64_t right,
                        const float *R)
{
    memcpy(old, row, (size_t)(left * n * right) * sizeof *row);
    memset(row, 0, (size_t)(left * n * right) * sizeof *row);
    for (int64_t l = 0; l < left; l++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < n; i++) {
                const double a = (double)R[j * n + i];
                double *to = row + (l * n + j) * right;
                const double *from = old + (l * n + i) * right;
                for (int64_t r = 0; r < right; r++) to[r] += a * from[r];
            }
}

soda_status kronecker_rotate(const soda_layer *layer, method_values values, double *W)
{
    const int64_t *f = layer->factor, n = layer->n;
    double *old = malloc((size_t)n * sizeof *old);
    if (!old) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t row = 0; row < layer->m; row++) {
        double *x = W + row * n;
        rotate_axis(x, old, f[0] * f[1], f[2], 1, values[2]);
        rotate_axis(x, old, f[0], f[1], f[2], values[1]);
        rotate_axis(x, old, 1, f[0], f[1] * f[2], values[0]);
    }
    free(old);
    return SODA_OK;
}

double kronecker_weight_cost(const route_case *c)
{
    return c->training ? route_rotation(c, c->layer->m) : 0; /* made once for all runs */
}

/* ||R'R - I||_F of R [n,n], row-major */
static double distance_from_orthogonal(const double *R, int64_t n)
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
    const int64_t n = layer->factor[factor];
    const lapack_routines *lapack;
    soda_status s = SODA_OK;
    double *R = calloc((size_t)(n * n), sizeof *R), *parts = calloc((size_t)n * 2, sizeof *parts);
    if (!R || !parts) {
        s = spectrum_no_memory(layer);
        goto done;
    }
    for (int64_t i = 0; i < n * n; i++) R[i] = (double)values[i];
    *distance = distance_from_orthogonal(R, n);
    TRY_TO(done, lapack_enter(&lapack));
    const int info = lapack->eigenvalues((int)n, R, parts, parts + n);
    lapack_leave();
    if (info) s = spectrum_lapack_failed(layer, "dgeev", info);
    for (int64_t i = 0; !info && i < n; i++) angles[i] = atan2(parts[n + i], parts[i]);
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

/* R has the products of the factors' eigenvalues, so an angle is a sum of three, folded.
 * Horn & Johnson, Topics in Matrix Analysis, 4.2.12 */
soda_status kronecker_angles(const soda_layer *layer, method_values values, float *angles,
                             double orthogonality[3])
{
    const int64_t *f = layer->factor;
    double *sums = calloc((size_t)(f[0] + f[1] + f[2]), sizeof *sums);
    if (!sums) return spectrum_no_memory(layer);
    double *const of[3] = {sums, sums + f[0], sums + f[0] + f[1]};
    soda_status s = SODA_OK;
    for (int i = 0; i < 3; i++)
        TRY_TO(done, factor_angles(layer, i, values[i], of[i], &orthogonality[i]));
    for (int64_t i = 0; i < layer->n; i++)
        angles[i] = folded(of[0][i / (f[1] * f[2])] + of[1][i / f[2] % f[1]] + of[2][i % f[2]]);
done:
    free(sums);
    return s;
}
