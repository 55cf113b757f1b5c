/* add, sum_rows, scale, cast, concat, slice, reference backend. */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

/* b has a's shape, or is [N,C] beside a [N,..,C]. */
static soda_status add(const soda_call *call)
{
    const soda_tensor *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const bool whole = shape_equal(&a->shape, &b->shape);
    const int64_t count = shape_count(&a->shape);
    const int64_t C = shape_columns(&a->shape), image = count / a->shape.dim[0];
    for (int64_t i = 0; i < count; i++)
        set(y, i, get(a, i) + get(b, whole ? i : i / image * C + i % C));
    return SODA_OK;
}

/* x [N,M,C] -> y [N,C] */
static soda_status sum_rows(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t N = x->shape.dim[0], C = shape_columns(&x->shape);
    const int64_t M = shape_count(&x->shape) / (N * C);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t c = 0; c < C; c++) {
            double sum = 0;
            for (int64_t m = 0; m < M; m++) sum += get(x, (n * M + m) * C + c);
            set(y, n * C + c, sum);
        }
    }
    return SODA_OK;
}

static soda_status scale(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t count = shape_count(&x->shape);
    for (int64_t i = 0; i < count; i++) set(y, i, (double)call->attr->scale.factor * get(x, i));
    return SODA_OK;
}

static soda_status cast(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t count = shape_count(&x->shape);
    for (int64_t i = 0; i < count; i++) set(y, i, get(x, i));
    return SODA_OK;
}

/* a [rows,C], b [rows,D] -> y [rows,C+D] */
static soda_status concat(const soda_call *call)
{
    const soda_tensor *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t rows = shape_rows(&a->shape);
    const int64_t C = shape_columns(&a->shape), D = shape_columns(&b->shape);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < C; c++) set(y, row * (C + D) + c, get(a, row * C + c));
        for (int64_t d = 0; d < D; d++) set(y, row * (C + D) + C + d, get(b, row * D + d));
    }
    return SODA_OK;
}

static soda_status slice(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const slice_attr *a = &call->attr->slice;
    const int64_t rows = shape_rows(&x->shape), C = shape_columns(&x->shape);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < a->length; i++)
            set(y, row * a->length + i, get(x, row * C + a->start + i));
    return SODA_OK;
}

const soda_kernel ref_add = {.run = add};
const soda_kernel ref_sum_rows = {.run = sum_rows};
const soda_kernel ref_scale = {.run = scale};
const soda_kernel ref_cast = {.run = cast};
const soda_kernel ref_concat = {.run = concat};
const soda_kernel ref_slice = {.run = slice};
