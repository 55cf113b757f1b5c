/* layer_norm and its gradient on the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

static soda_status prepare_layer_norm(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xff", "xf");
}

static soda_status run_layer_norm(const soda_call *call)
{
    const soda_shape *x = &call->in[0].shape;
    const layer_norm_tensors u = {.x = call->in[0].data,
                                  .gamma = operand(call, 1),
                                  .beta = operand(call, 2),
                                  .y = call->out[0].data,
                                  .stats = call->out[1].data,
                                  .rows = shape_rows(x),
                                  .C = (int)shape_columns(x),
                                  .eps = call->attr->layer_norm.eps};
    GPU_TRY(launch_layer_norm(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_layer_norm = {.prepare = prepare_layer_norm, .run = run_layer_norm};

static soda_status prepare_layer_norm_grad(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xxff", "x");
}

static soda_status run_layer_norm_grad(const soda_call *call)
{
    const soda_shape *x = &call->in[1].shape;
    const layer_norm_tensors u = {.dy = call->in[0].data,
                                  .x = call->in[1].data,
                                  .gamma = operand(call, 2),
                                  .stats = call->in[3].data,
                                  .y = call->out[0].data,
                                  .rows = shape_rows(x),
                                  .C = (int)shape_columns(x)};
    GPU_TRY(launch_layer_norm_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_layer_norm_grad = {.prepare = prepare_layer_norm_grad,
                                          .run = run_layer_norm_grad};
