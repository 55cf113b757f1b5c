/* column_scale_add, reference backend: the LQ shift of SODA on tokens.   Zhang et al.,
 * arXiv:2405.21050
 *
 *     y = x + h diag(delta) on the first k columns      x, y [rows,m], h [rows,k], delta [k]
 *     dx = dy;  dh = dy diag(delta);  ddelta_i = sum over rows of dy_i h_i,  i < k */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status column_scale_add(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *h = &call->in[1], *delta = &call->in[2];
    const int64_t rows = shape_rows(&x->shape), m = shape_columns(&x->shape);
    const int64_t k = shape_columns(&h->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < m; c++) {
            const double shift = c < k ? get(h, row * k + c) * get(delta, c) : 0;
            set(&call->out[0], row * m + c, get(x, row * m + c) + shift);
        }
    }
    return SODA_OK;
}

static soda_status column_scale_add_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *h = &call->in[1], *delta = &call->in[2];
    const int64_t rows = shape_rows(&dy->shape), m = shape_columns(&dy->shape);
    const int64_t k = shape_columns(&h->shape);
    for (int64_t c = 0; c < k; c++) {
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) {
            const double d = get(dy, row * m + c);
            set(&call->out[0], row * k + c, d * get(delta, c));
            sum += d * get(h, row * k + c);
        }
        set(&call->out[1], c, sum);
    }
    return SODA_OK;
}

const soda_kernel ref_column_scale_add = {.run = column_scale_add};
const soda_kernel ref_column_scale_add_grad = {.run = column_scale_add_grad};
