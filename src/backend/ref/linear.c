/* linear, reference backend.
 *
 *     y = x w' + b        x [rows,I], w [O,I] (or [I,O] if transposed), b [O] or absent
 *     dw = dy' x          dy [rows,O], x [rows,I], dw [O,I] */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status linear(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    const soda_tensor *b = call->inputs > 2 && call->in[2].data ? &call->in[2] : NULL;
    const bool transposed = call->attr->linear.transposed;
    const int64_t rows = shape_rows(&x->shape);
    const int64_t I = shape_columns(&x->shape), O = shape_columns(&y->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t o = 0; o < O; o++) {
            double sum = b ? get(b, o) : 0;
            for (int64_t i = 0; i < I; i++)
                sum += get(x, row * I + i) * get(w, transposed ? i * O + o : o * I + i);
            set(y, row * O + o, sum);
        }
    }
    return SODA_OK;
}

static soda_status linear_grad_weight(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *dw = &call->out[0];
    const int64_t rows = shape_rows(&x->shape);
    const int64_t I = shape_columns(&x->shape), O = shape_columns(&dy->shape);
    for (int64_t o = 0; o < O; o++) {
        for (int64_t i = 0; i < I; i++) {
            double sum = 0;
            for (int64_t row = 0; row < rows; row++)
                sum += get(dy, row * O + o) * get(x, row * I + i);
            set(dw, o * I + i, sum);
        }
    }
    return SODA_OK;
}

const soda_kernel ref_linear = {.run = linear};
const soda_kernel ref_linear_grad_weight = {.run = linear_grad_weight};
