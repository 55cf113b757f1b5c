/* concat, slice, upsample and its gradient on the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

static soda_status run_concat(const soda_call *call)
{
    const soda_tensor *a = &call->in[0], *b = &call->in[1];
    GPU_TRY(launch_concat(operands_bf16(call), a->data, (int)shape_columns(&a->shape), b->data,
                          (int)shape_columns(&b->shape), call->out[0].data, shape_rows(&a->shape),
                          gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_concat = {.prepare = operands_prepare_plain, .run = run_concat};

static soda_status run_slice(const soda_call *call)
{
    const soda_tensor *x = &call->in[0];
    const copy_slice u = {.x = x->data,
                          .y = call->out[0].data,
                          .rows = shape_rows(&x->shape),
                          .C = (int)shape_columns(&x->shape),
                          .start = (int)call->attr->slice.start,
                          .length = (int)call->attr->slice.length};
    GPU_TRY(launch_slice(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_slice = {.prepare = operands_prepare_plain, .run = run_slice};

/* `small` [N,h,w,C] and `large` [N,H,W,C]; either may be the result. */
static copy_upsample upsample_of(const soda_call *call, const soda_shape *small,
                                 const soda_shape *large)
{
    return (copy_upsample){.from = call->in[0].data,
                           .to = call->out[0].data,
                           .N = small->dim[0],
                           .h = (int)small->dim[1],
                           .w = (int)small->dim[2],
                           .H = (int)large->dim[1],
                           .W = (int)large->dim[2],
                           .C = (int)small->dim[3]};
}

static soda_status run_upsample(const soda_call *call)
{
    const copy_upsample u = upsample_of(call, &call->in[0].shape, &call->out[0].shape);
    GPU_TRY(launch_upsample(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_upsample = {.prepare = operands_prepare_plain, .run = run_upsample};

static soda_status run_upsample_grad(const soda_call *call)
{
    const copy_upsample u = upsample_of(call, &call->out[0].shape, &call->in[0].shape);
    GPU_TRY(launch_upsample_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_upsample_grad = {.prepare = operands_prepare_plain,
                                        .run = run_upsample_grad};
