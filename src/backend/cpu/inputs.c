#include "backend/cpu/inputs.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/pack.h"

static soda_status check_type(const soda_tensor *tensor)
{
    if (tensor->dtype == SODA_F32 || tensor->dtype == SODA_BF16 || tensor->dtype == SODA_I32)
        return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: tensors of type %s", dtype_name(tensor->dtype));
}

static soda_status check_types(const soda_call *call)
{
    for (int i = 0; i < call->inputs; i++)
        if (!call->weight[i] && call->in[i].shape.rank) TRY(check_type(&call->in[i]));
    for (int i = 0; i < call->outputs; i++) TRY(check_type(&call->out[i]));
    return SODA_OK;
}

soda_status inputs_prepare_plain(soda_call *call, soda_weights *weights)
{
    (void)weights;
    for (int i = 0; i < call->inputs; i++)
        if (call->weight[i])
            return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: frozen weight %s in this operator",
                        call->weight[i]->name);
    return check_types(call);
}

soda_status inputs_convert(const void *source, soda_dtype dtype, int64_t count, float *x)
{
    const char *bytes = source;
    uint16_t half;
    switch (dtype) {
    case SODA_F32: memcpy(x, source, (size_t)count * sizeof *x); return SODA_OK;
    case SODA_BF16:
        for (int64_t i = 0; i < count; i++) {
            memcpy(&half, bytes + 2 * i, 2);
            x[i] = bf16_to_float(half);
        }
        return SODA_OK;
    case SODA_F16:
        for (int64_t i = 0; i < count; i++) {
            memcpy(&half, bytes + 2 * i, 2);
            x[i] = f16_to_float(half);
        }
        return SODA_OK;
    default: return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: weights of %s", dtype_name(dtype));
    }
}

soda_status inputs_prepare_frozen(soda_call *call, soda_weights *weights)
{
    TRY(check_types(call));
    for (int i = 0; i < call->inputs; i++)
        if (call->weight[i]) TRY(pack_vector(call, weights, i));
    return SODA_OK;
}

soda_tensor inputs_get(const soda_call *call, int i)
{
    soda_tensor tensor = call->in[i];
    if (!call->weight[i]) return tensor;
    tensor.dtype = SODA_F32;
    tensor.data = call->form[i];
    return tensor;
}

const float *inputs_f32(const soda_call *call, int i, float *buffer)
{
    const soda_tensor tensor = inputs_get(call, i);
    if (tensor.dtype == SODA_F32) return tensor.data;
    const uint16_t *x = tensor.data;
    for (int64_t k = 0, count = shape_count(&tensor.shape); k < count; k++)
        buffer[k] = bf16_to_float(x[k]);
    return buffer;
}
