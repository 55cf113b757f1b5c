/* activation and geglu, reference backend.
 *
 *     y = f(x);  dx = dy f'(x)
 *     geglu: y = u gelu(g), where x = (u, g) are the halves of a row     Shazeer, arXiv:2002.05202
 *            du = dy gelu(g), dg = dy u gelu'(g) */
#include "backend/ref/activation_math.h"
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status activation(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t count = shape_count(&x->shape);
    for (int64_t i = 0; i < count; i++) set(y, i, activate(call->attr->activation.kind, get(x, i)));
    return SODA_OK;
}

static soda_status activation_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *dx = &call->out[0];
    const int64_t count = shape_count(&x->shape);
    for (int64_t i = 0; i < count; i++) {
        const double slope = activate_slope(call->attr->activation.kind, get(x, i));
        set(dx, i, slope == 0 ? 0 : get(dy, i) * slope); /* a closed relu stops NaN too */
    }
    return SODA_OK;
}

static soda_status geglu(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t rows = shape_rows(&y->shape), C = shape_columns(&y->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < C; c++) {
            const double u = get(x, row * 2 * C + c), g = get(x, row * 2 * C + C + c);
            set(y, row * C + c, u * activate(ACT_GELU, g));
        }
    }
    return SODA_OK;
}

static soda_status geglu_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *dx = &call->out[0];
    const int64_t rows = shape_rows(&dy->shape), C = shape_columns(&dy->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < C; c++) {
            const double u = get(x, row * 2 * C + c), g = get(x, row * 2 * C + C + c);
            const double d = get(dy, row * C + c);
            set(dx, row * 2 * C + c, d * activate(ACT_GELU, g));
            set(dx, row * 2 * C + C + c, d * u * activate_slope(ACT_GELU, g));
        }
    }
    return SODA_OK;
}

const soda_kernel ref_activation = {.run = activation};
const soda_kernel ref_activation_grad = {.run = activation_grad};
const soda_kernel ref_geglu = {.run = geglu};
const soda_kernel ref_geglu_grad = {.run = geglu_grad};
