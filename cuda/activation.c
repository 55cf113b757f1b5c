/* activation, activation_grad, geglu and geglu_grad of the CUDA backend. activation may write over
 * its input. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

/* The numbers of activation.cuh. */
_Static_assert(ACT_SILU == 0 && ACT_GELU == 1 && ACT_QUICK_GELU == 2 && ACT_RELU == 3,
               "activation.cuh counts otherwise");

static soda_status run_activation(const soda_call *call)
{
    const soda_tensor *x = &call->in[0];
    GPU_TRY(launch_activation(operands_bf16(call), (int)call->attr->activation.kind, x->data,
                              call->out[0].data, shape_count(&x->shape), gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_activation = {.prepare = operands_prepare_plain, .run = run_activation};

static soda_status run_activation_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1];
    GPU_TRY(launch_activation_grad(operands_bf16(call), (int)call->attr->activation.kind, dy->data,
                                   x->data, call->out[0].data, shape_count(&x->shape),
                                   gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_activation_grad = {.prepare = operands_prepare_plain,
                                          .run = run_activation_grad};

static soda_status run_geglu(const soda_call *call)
{
    const soda_shape *y = &call->out[0].shape;
    GPU_TRY(launch_geglu(operands_bf16(call), call->in[0].data, call->out[0].data, shape_rows(y),
                         (int)shape_columns(y), gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_geglu = {.prepare = operands_prepare_plain, .run = run_geglu};

static soda_status run_geglu_grad(const soda_call *call)
{
    const soda_shape *dy = &call->in[0].shape;
    GPU_TRY(launch_geglu_grad(operands_bf16(call), call->in[0].data, call->in[1].data,
                              call->out[0].data, shape_rows(dy), (int)shape_columns(dy),
                              gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_geglu_grad = {.prepare = operands_prepare_plain, .run = run_geglu_grad};
