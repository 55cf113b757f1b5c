/* The spectrum shifts of SODA, reference backend.     Zhang et al., arXiv:2405.21050
 *
 *     spectral_scale (SVD):  y = x relu(s + delta), column by column     x, y [rows,k], s, delta
 * [k] row_scale_add (LQ):    y = w + diag(delta) q on the first k rows   w, y [m,n], q [k,n] */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status spectral_scale(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *s = &call->in[1], *delta = &call->in[2];
    const int64_t rows = shape_rows(&x->shape), k = shape_columns(&x->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < k; c++) {
            const double shifted = get(s, c) + get(delta, c);
            set(&call->out[0], row * k + c, shifted <= 0 ? 0 : get(x, row * k + c) * shifted);
        }
    }
    return SODA_OK;
}

/* A closed gate (s + delta <= 0) passes nothing: gradients are exactly 0. NaN does not close it. */
static soda_status spectral_scale_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *s = &call->in[2];
    const soda_tensor *delta = &call->in[3], *dx = &call->out[0], *ddelta = &call->out[1];
    const int64_t rows = shape_rows(&x->shape), k = shape_columns(&x->shape);
    for (int64_t c = 0; c < k; c++) {
        const double shifted = get(s, c) + get(delta, c);
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) {
            const double d = get(dy, row * k + c);
            set(dx, row * k + c, shifted <= 0 ? 0 : d * shifted);
            sum += d * get(x, row * k + c);
        }
        set(ddelta, c, shifted <= 0 ? 0 : sum);
    }
    return SODA_OK;
}

static soda_status row_scale_add(const soda_call *call)
{
    const soda_tensor *w = &call->in[0], *q = &call->in[1], *delta = &call->in[2];
    const int64_t m = w->shape.dim[0], n = w->shape.dim[1], k = q->shape.dim[0];
    for (int64_t row = 0; row < m; row++) {
        for (int64_t c = 0; c < n; c++) {
            const double shift = row < k ? get(delta, row) * get(q, row * n + c) : 0;
            set(&call->out[0], row * n + c, get(w, row * n + c) + shift);
        }
    }
    return SODA_OK;
}

static soda_status row_scale_add_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *q = &call->in[1];
    const int64_t k = q->shape.dim[0], n = q->shape.dim[1];
    for (int64_t row = 0; row < k; row++) {
        double sum = 0;
        for (int64_t c = 0; c < n; c++) sum += get(dy, row * n + c) * get(q, row * n + c);
        set(&call->out[0], row, sum);
    }
    return SODA_OK;
}

const soda_kernel ref_spectral_scale = {.run = spectral_scale};
const soda_kernel ref_spectral_scale_grad = {.run = spectral_scale_grad};
const soda_kernel ref_row_scale_add = {.run = row_scale_add};
const soda_kernel ref_row_scale_add_grad = {.run = row_scale_add_grad};
