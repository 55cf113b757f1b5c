/* cast of the CPU backend: between fp32 and bf16, and from frozen weights of any float type. */
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

enum { UNIT = 1024 }; /* elements: ranges end on whole cache lines */

static void cast_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor x = inputs_get(call, 0), *y = &call->out[0];
    const void *from = inputs_at(&x, first);
    const struct elementwise_loops *loops = call->path;
    void *to = inputs_at(y, first);
    if (x.dtype == y->dtype)
        memcpy(to, from, (size_t)(last - first) * dtype_bytes(x.dtype));
    else if (y->dtype == SODA_F32)
        loops->to_f32(from, to, last - first);
    else
        loops->from_f32(from, to, last - first);
}

static soda_status prepare_cast(soda_call *call, soda_weights *weights)
{
    TRY(inputs_prepare_frozen(call, weights));
    const soda_dtype from = inputs_get(call, 0).dtype, to = call->out[0].dtype;
    call->path = elementwise(to == SODA_F32 ? from : to);
    return SODA_OK;
}

static soda_status run_cast(const soda_call *call)
{
    parallel_for(shape_count(&call->out[0].shape), UNIT,
                 tensor_bytes(&call->in[0]) + tensor_bytes(&call->out[0]), PARALLEL_ALL, cast_range,
                 call);
    return SODA_OK;
}

const soda_kernel cpu_cast = {.prepare = prepare_cast, .run = run_cast};
