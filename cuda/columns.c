/* sum_rows and the gradients of spectral_scale and column_scale_add on the CUDA backend: sums over
 * rows. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

/* One partial sum per chunk of rows and column. */
static size_t partial_bytes(int64_t images, int64_t rows, int64_t C)
{
    return (size_t)(images * ceil_div(rows, COLUMNS_CHUNK) * C) * sizeof(float);
}

static soda_status prepare_sum_rows(soda_call *call, soda_weights *weights)
{
    const soda_shape *x = &call->in[0].shape;
    call->scratch_bytes = partial_bytes(x->dim[0], shape_rows(x) / x->dim[0], shape_columns(x));
    return operands_prepare_plain(call, weights);
}

static soda_status run_sum_rows(const soda_call *call)
{
    const soda_tensor *x = &call->in[0];
    const columns_sum u = {.x = x->data,
                           .sums = call->out[0].data,
                           .partial = call->scratch,
                           .images = x->shape.dim[0],
                           .rows = shape_rows(&x->shape) / x->shape.dim[0],
                           .C = (int)shape_columns(&x->shape)};
    GPU_TRY(launch_sum_rows(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_sum_rows = {.prepare = prepare_sum_rows, .run = run_sum_rows};

/* dy, x, s, delta -> dx, ddelta; without s: dy, h, delta -> dh, ddelta */
static soda_status prepare_spectral_scale_grad(soda_call *call, soda_weights *weights)
{
    const soda_shape *x = &call->in[1].shape;
    call->scratch_bytes = partial_bytes(1, shape_rows(x), shape_columns(x));
    return operands_prepare(call, weights, "xxff", "xf");
}

static soda_status prepare_column_scale_add_grad(soda_call *call, soda_weights *weights)
{
    const soda_shape *h = &call->in[1].shape;
    call->scratch_bytes = partial_bytes(1, shape_rows(h), shape_columns(h));
    return operands_prepare(call, weights, "xxf", "xf");
}

static soda_status scale_grad(const soda_call *call, const float *s, const float *delta)
{
    const soda_shape *dy = &call->in[0].shape, *x = &call->in[1].shape;
    const columns_scale_grad u = {.dy = operand(call, 0),
                                  .x = operand(call, 1),
                                  .s = s,
                                  .delta = delta,
                                  .dx = call->out[0].data,
                                  .ddelta = call->out[1].data,
                                  .partial = call->scratch,
                                  .rows = shape_rows(x),
                                  .m = (int)shape_columns(dy),
                                  .k = (int)shape_columns(x)};
    GPU_TRY(launch_columns_scale_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

static soda_status run_spectral_scale_grad(const soda_call *call)
{
    return scale_grad(call, operand(call, 2), operand(call, 3));
}

static soda_status run_column_scale_add_grad(const soda_call *call)
{
    return scale_grad(call, NULL, operand(call, 2));
}

const soda_kernel cuda_spectral_scale_grad = {.prepare = prepare_spectral_scale_grad,
                                              .run = run_spectral_scale_grad};
const soda_kernel cuda_column_scale_add_grad = {.prepare = prepare_column_scale_add_grad,
                                                .run = run_column_scale_add_grad};
