/* group_norm and its gradient on the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

/* Sizes of x, input `x` of the call. */
static group_norm_tensors sizes_of(const soda_call *call, int x)
{
    const group_norm_attr *a = &call->attr->group_norm;
    const soda_shape *shape = &call->in[x].shape;
    return (group_norm_tensors){.N = shape->dim[0],
                                .rows = shape_rows(shape) / shape->dim[0],
                                .C = (int)shape_columns(shape),
                                .groups = (int)a->groups,
                                .eps = a->eps,
                                .silu = a->silu};
}

static soda_status prepare_group_norm(soda_call *call, soda_weights *weights)
{
    const group_norm_tensors u = sizes_of(call, 0);
    call->scratch_bytes = group_norm_scratch(operands_bf16(call), false, &u);
    return operands_prepare(call, weights, "xff", "xf");
}

static soda_status run_group_norm(const soda_call *call)
{
    group_norm_tensors u = sizes_of(call, 0);
    u.x = call->in[0].data;
    u.gamma = operand(call, 1);
    u.beta = operand(call, 2);
    u.y = call->out[0].data;
    u.stats = call->out[1].data;
    u.partial = call->scratch;
    GPU_TRY(launch_group_norm(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_group_norm = {.prepare = prepare_group_norm, .run = run_group_norm};

static soda_status prepare_group_norm_grad(soda_call *call, soda_weights *weights)
{
    const group_norm_tensors u = sizes_of(call, 1);
    call->scratch_bytes = group_norm_scratch(operands_bf16(call), true, &u);
    return operands_prepare(call, weights, "xxfff", "x");
}

static soda_status run_group_norm_grad(const soda_call *call)
{
    group_norm_tensors u = sizes_of(call, 1);
    u.dy = call->in[0].data;
    u.x = call->in[1].data;
    u.gamma = operand(call, 2);
    u.beta = operand(call, 3);
    u.stats = call->in[4].data;
    u.y = call->out[0].data;
    u.partial = call->scratch;
    GPU_TRY(launch_group_norm_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_group_norm_grad = {.prepare = prepare_group_norm_grad,
                                          .run = run_group_norm_grad};
