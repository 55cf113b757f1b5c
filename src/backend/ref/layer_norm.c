/* layer_norm, reference backend.
 *
 *     x^ = (x - mean) / sqrt(var + eps);  y = gamma x^ + beta       Ba et al., arXiv:1607.06450
 *
 * x, y [rows,C]; mean and var over the C channels of a row; var divides by C.
 * stats [rows,2] = (mean, 1/sqrt(var + eps)). With e = gamma dy:
 *
 *     dx = (e - mean(e) - x^ mean(e x^)) / sqrt(var + eps) */
#include <math.h>

#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status layer_norm(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *gamma = &call->in[1], *beta = &call->in[2];
    const int64_t rows = shape_rows(&x->shape), C = shape_columns(&x->shape);
    for (int64_t row = 0; row < rows; row++) {
        double mean = 0, var = 0;
        for (int64_t c = 0; c < C; c++) mean += get(x, row * C + c) / (double)C;
        for (int64_t c = 0; c < C; c++) var += pow(get(x, row * C + c) - mean, 2) / (double)C;
        const double rstd = 1 / sqrt(var + (double)call->attr->layer_norm.eps);
        for (int64_t c = 0; c < C; c++)
            set(&call->out[0], row * C + c,
                get(gamma, c) * (get(x, row * C + c) - mean) * rstd + get(beta, c));
        set(&call->out[1], 2 * row, mean);
        set(&call->out[1], 2 * row + 1, rstd);
    }
    return SODA_OK;
}

static soda_status layer_norm_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *gamma = &call->in[2];
    const soda_tensor *stats = &call->in[3];
    const int64_t rows = shape_rows(&x->shape), C = shape_columns(&x->shape);
    for (int64_t row = 0; row < rows; row++) {
        const double mean = get(stats, 2 * row), rstd = get(stats, 2 * row + 1);
        double mean_e = 0, mean_ex = 0;
        for (int64_t c = 0; c < C; c++) {
            const double e = get(gamma, c) * get(dy, row * C + c);
            mean_e += e / (double)C;
            mean_ex += e * (get(x, row * C + c) - mean) * rstd / (double)C;
        }
        for (int64_t c = 0; c < C; c++) {
            const double e = get(gamma, c) * get(dy, row * C + c);
            const double xhat = (get(x, row * C + c) - mean) * rstd;
            set(&call->out[0], row * C + c, (e - mean_e - xhat * mean_ex) * rstd);
        }
    }
    return SODA_OK;
}

const soda_kernel ref_layer_norm = {.run = layer_norm};
const soda_kernel ref_layer_norm_grad = {.run = layer_norm_grad};
