/* spectral_scale, column_scale_add, row_scale_add and its gradient on the CUDA backend: what SODA
 * does to a spectrum. column_scale_add may write over x. The other gradients are in columns.c. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

static soda_status prepare_spectral_scale(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xff", "x");
}

static soda_status run_spectral_scale(const soda_call *call)
{
    const soda_shape *x = &call->in[0].shape;
    const spectral_columns u = {.x = operand(call, 0),
                                .s = operand(call, 1),
                                .delta = operand(call, 2),
                                .y = call->out[0].data,
                                .rows = shape_rows(x),
                                .k = (int)shape_columns(x)};
    GPU_TRY(launch_spectral_scale(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_spectral_scale = {.prepare = prepare_spectral_scale,
                                         .run = run_spectral_scale};

static soda_status prepare_scale_add(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xxf", "x");
}

static soda_status run_column_scale_add(const soda_call *call)
{
    const soda_shape *x = &call->in[0].shape, *h = &call->in[1].shape;
    const spectral_shift u = {.x = operand(call, 0),
                              .h = operand(call, 1),
                              .delta = operand(call, 2),
                              .y = call->out[0].data,
                              .rows = shape_rows(x),
                              .m = (int)shape_columns(x),
                              .k = (int)shape_columns(h)};
    GPU_TRY(launch_column_scale_add(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_column_scale_add = {.prepare = prepare_scale_add,
                                           .run = run_column_scale_add};

/* w (or dy) [m,n] and q [k,n] */
static spectral_rows rows_of(const soda_call *call)
{
    const soda_shape *w = &call->in[0].shape, *q = &call->in[1].shape;
    return (spectral_rows){.w = operand(call, 0),
                           .q = operand(call, 1),
                           .y = call->out[0].data,
                           .m = w->dim[0],
                           .k = q->dim[0],
                           .n = (int)q->dim[1]};
}

static soda_status run_row_scale_add(const soda_call *call)
{
    spectral_rows u = rows_of(call);
    u.delta = operand(call, 2);
    GPU_TRY(launch_row_scale_add(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_row_scale_add = {.prepare = prepare_scale_add, .run = run_row_scale_add};

static soda_status prepare_row_scale_add_grad(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xx", "f");
}

static soda_status run_row_scale_add_grad(const soda_call *call)
{
    const spectral_rows u = rows_of(call);
    GPU_TRY(launch_row_scale_add_grad(call->in[0].dtype == SODA_BF16, &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_row_scale_add_grad = {.prepare = prepare_row_scale_add_grad,
                                             .run = run_row_scale_add_grad};
