/* add, scale and cast of the CUDA backend. add and scale may write over their first input. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

static soda_status run_add(const soda_call *call)
{
    const soda_tensor *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t N = a->shape.dim[0];
    if (shape_equal(&a->shape, &b->shape)) {
        GPU_TRY(launch_add(operands_bf16(call), a->data, b->data, y->data, shape_count(&a->shape),
                           gpu_stream()));
        return SODA_OK;
    }
    const add_rows u = {.a = a->data,
                        .b = b->data,
                        .y = y->data,
                        .images = N,
                        .rows = shape_rows(&a->shape) / N,
                        .C = (int)shape_columns(&a->shape)};
    GPU_TRY(launch_add_rows(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_add = {.prepare = operands_prepare_plain, .run = run_add};

static soda_status run_scale(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    GPU_TRY(launch_scale(operands_bf16(call), x->data, call->attr->scale.factor, y->data,
                         shape_count(&x->shape), gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_scale = {.prepare = operands_prepare_plain, .run = run_scale};

/* A frozen weight has its form in the type of the result. */
static soda_status prepare_cast(soda_call *call, soda_weights *weights)
{
    if (call->weight[0]) return operands_form(call, weights, 0, call->out[0].dtype);
    TRY(operands_prepare(call, weights, "x", "-"));
    return operands_prepare(call, weights, "-", "x");
}

static soda_status run_cast(const soda_call *call)
{
    const soda_dtype to = call->out[0].dtype;
    void *y = call->out[0].data;
    if (call->weight[0] || call->in[0].dtype == to)
        GPU_TRY(cudaMemcpyAsync(y, operand(call, 0), tensor_bytes(&call->out[0]),
                                cudaMemcpyDeviceToDevice, gpu_stream()));
    else
        GPU_TRY(launch_cast(to == SODA_BF16, call->in[0].data, y, shape_count(&call->out[0].shape),
                            gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_cast = {.prepare = prepare_cast, .run = run_cast};
