/* attention and attention_grad of the CUDA backend: heads of up to ATTENTION_FLASH_WIDTH columns by
 * the flash kernels, wider ones by whole products (attention_product.c). */
#include "core/round.h"
#include "cuda/attention_product.h"
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"

static attention_sizes sizes_of(const soda_call *call)
{
    const attention_attr *a = &call->attr->attention;
    const soda_shape *q = &call->in[0].shape, *k = &call->in[1].shape;
    return (attention_sizes){
        .B = (int)q->dim[0],
        .Tq = (int)q->dim[1],
        .Tk = (int)k->dim[1],
        .heads = (int)a->heads,
        .width = (int)(q->dim[2] / a->heads),
        .causal = a->causal,
        .scale = a->scale,
    };
}

static bool is_flash(const attention_sizes *z) { return z->width <= ATTENTION_FLASH_WIDTH; }

static soda_status prepare_forward(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const attention_sizes z = sizes_of(call);
    return is_flash(&z) ? SODA_OK : attention_product_prepare(call, &z, false);
}

static soda_status run_forward(const soda_call *call)
{
    const attention_sizes z = sizes_of(call);
    if (!is_flash(&z)) return attention_product_run(call, &z);
    const soda_tensor *in = call->in, *out = call->out;
    if (in[0].dtype == SODA_BF16)
        GPU_TRY(launch_attention(&z, in[0].data, in[1].data, in[2].data, out[0].data, out[1].data,
                                 gpu_stream()));
    else
        GPU_TRY(launch_attention_f32(&z, in[0].data, in[1].data, in[2].data, out[0].data,
                                     out[1].data, gpu_stream()));
    return SODA_OK;
}

static soda_status prepare_grad(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const attention_sizes z = sizes_of(call);
    if (!is_flash(&z)) return attention_product_prepare(call, &z, true);
    call->scratch_bytes = sizeof(float) * (size_t)z.B * (size_t)z.heads * (size_t)z.Tq; /* delta */
    return SODA_OK;
}

static soda_status run_grad(const soda_call *call)
{
    const attention_sizes z = sizes_of(call);
    if (!is_flash(&z)) return attention_product_run_grad(call, &z);
    const attention_grad_tensors t = {
        .q = call->in[0].data,
        .k = call->in[1].data,
        .v = call->in[2].data,
        .o = call->in[3].data,
        .lse = call->in[4].data,
        .dout = call->in[5].data,
        .delta = call->scratch,
        .dq = call->out[0].data,
        .dk = call->out[1].data,
        .dv = call->out[2].data,
    };
    if (call->in[0].dtype == SODA_BF16)
        GPU_TRY(launch_attention_grad(&z, &t, gpu_stream()));
    else
        GPU_TRY(launch_attention_grad_f32(&z, &t, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_attention = {prepare_forward, run_forward, attention_product_release};
const soda_kernel cuda_attention_grad = {prepare_grad, run_grad, attention_product_release};
