/* mse_loss and its gradient on the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

static mse_loss_tensors inputs_of(const soda_call *call)
{
    const soda_shape *p = &call->in[0].shape;
    return (mse_loss_tensors){.p = call->in[0].data,
                              .target = call->in[1].data,
                              .weight = call->in[2].data,
                              .images = p->dim[0],
                              .n = shape_count(p) / p->dim[0],
                              .beta = call->attr->mse_loss.beta};
}

/* One partial sum per chunk of an image. */
static soda_status prepare_mse_loss(soda_call *call, soda_weights *weights)
{
    const mse_loss_tensors u = inputs_of(call);
    call->scratch_bytes = (size_t)(u.images * ceil_div(u.n, MSE_CHUNK)) * sizeof(double);
    return operands_prepare(call, weights, "xfff", "ff");
}

static soda_status run_mse_loss(const soda_call *call)
{
    mse_loss_tensors u = inputs_of(call);
    u.reference = call->in[3].data;
    u.loss = call->out[0].data;
    u.image = call->out[1].data;
    u.partial = call->scratch;
    GPU_TRY(launch_mse_loss(call->in[0].dtype == SODA_BF16, &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_mse_loss = {.prepare = prepare_mse_loss, .run = run_mse_loss};

static soda_status prepare_mse_loss_grad(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xffff", "x");
}

static soda_status run_mse_loss_grad(const soda_call *call)
{
    mse_loss_tensors u = inputs_of(call);
    u.image = call->in[3].data;
    u.reference = call->in[4].data;
    u.dp = call->out[0].data;
    GPU_TRY(launch_mse_loss_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_mse_loss_grad = {.prepare = prepare_mse_loss_grad, .run = run_mse_loss_grad};
