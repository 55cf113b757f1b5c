/* scale of the CUDA backend. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"

static soda_status run_scale(const soda_call *call)
{
    const soda_tensor *x = &call->in[0];
    GPU_TRY(launch_scale(x->dtype == SODA_BF16, x->data, call->attr->scale.factor,
                         call->out[0].data, shape_count(&x->shape), gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_scale = {.run = run_scale};
