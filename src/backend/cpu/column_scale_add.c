/* column_scale_add and its gradients on the CPU backend; column_scale_add may write over its first
 * input. */
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

static soda_status prepare(soda_call *call, soda_weights *weights)
{
    TRY(elementwise_prepare(call, weights));
    if (call->in[2].dtype != SODA_F32)
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: column_scale_add with delta of type %s",
                    dtype_name(call->in[2].dtype));
    return SODA_OK;
}

/* y = x + h diag(delta) on the columns that h has, x elsewhere. */
static void add_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *x = &call->in[0], *h = &call->in[1], *y = &call->out[0];
    const int64_t m = shape_columns(&x->shape), k = shape_columns(&h->shape);
    const struct elementwise_loops *loops = call->path;
    for (int64_t row = first; row < last; row++) {
        loops->add_scaled(inputs_at(x, row * m), inputs_at(h, row * k), call->in[2].data,
                          inputs_at(y, row * m), k);
        if (k < m && y->data != x->data)
            memcpy(inputs_at(y, row * m + k), inputs_at(x, row * m + k),
                   (size_t)(m - k) * dtype_bytes(x->dtype));
    }
}

static soda_status run_add(const soda_call *call)
{
    parallel_for(shape_rows(&call->in[0].shape), 1, 3 * tensor_bytes(&call->in[0]), PARALLEL_ALL,
                 add_range, call);
    return SODA_OK;
}

const soda_kernel cpu_column_scale_add = {.prepare = prepare, .run = run_add};

static soda_status prepare_grad(soda_call *call, soda_weights *weights)
{
    const soda_shape *h = &call->in[1].shape;
    TRY(prepare(call, weights));
    call->scratch_bytes = elementwise_sum_scratch(shape_rows(h), shape_columns(h));
    return SODA_OK;
}

/* dh = dy diag(delta) */
static void scale_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *dy = &call->in[0], *dh = &call->out[0];
    const int64_t m = shape_columns(&dy->shape), k = shape_columns(&dh->shape);
    const struct elementwise_loops *loops = call->path;
    for (int64_t row = first; row < last; row++)
        loops->scale_columns(inputs_at(dy, row * m), call->in[2].data, inputs_at(dh, row * k), 1,
                             k);
}

static soda_status run_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *h = &call->in[1];
    const int64_t rows = shape_rows(&h->shape), k = shape_columns(&h->shape);
    const elementwise_sum ddelta = {call->path, dy, h, 0, rows, k};
    elementwise_sum_columns(&ddelta, call->scratch, call->out[1].data);
    parallel_for(rows, 1, 2 * tensor_bytes(h), PARALLEL_ALL, scale_range, call);
    return SODA_OK;
}

const soda_kernel cpu_column_scale_add_grad = {.prepare = prepare_grad, .run = run_grad};
