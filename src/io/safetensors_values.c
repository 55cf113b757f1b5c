/* The values of a tensor as plain fp32 numbers, and its shape as text. */
#include <math.h>
#include <string.h>

#include "io/safetensors.h"

/* Element i of a tensor whose type read_f32 accepts. memcpy: the data may not be aligned. */
static float element(const safetensors_tensor *t, size_t i)
{
    const char *data = t->data;
    union {
        float f32;
        double f64;
        uint16_t half;
        int64_t i64;
        int32_t i32;
    } v;
    switch (t->dtype) {
    case SAFETENSORS_F64: memcpy(&v.f64, data + 8 * i, 8); return (float)v.f64;
    case SAFETENSORS_I64: memcpy(&v.i64, data + 8 * i, 8); return (float)v.i64;
    case SAFETENSORS_I32: memcpy(&v.i32, data + 4 * i, 4); return (float)v.i32;
    case SAFETENSORS_F16: memcpy(&v.half, data + 2 * i, 2); return f16_to_float(v.half);
    case SAFETENSORS_BF16: memcpy(&v.half, data + 2 * i, 2); return bf16_to_float(v.half);
    default: memcpy(&v.f32, data + 4 * i, 4); return v.f32;
    }
}

soda_status safetensors_read_f32(const safetensors_tensor *tensor, float *values)
{
    size_t bytes;
    switch (tensor->dtype) {
    case SAFETENSORS_F64:
    case SAFETENSORS_I64: bytes = 8; break;
    case SAFETENSORS_F32:
    case SAFETENSORS_I32: bytes = 4; break;
    case SAFETENSORS_F16:
    case SAFETENSORS_BF16: bytes = 2; break;
    default:
        return FAIL(SODA_ERR_INPUT,
                    "%s: tensor %s: expected type F64, F32, F16, BF16, I64 or I32, found %s",
                    tensor->file, tensor->name, safetensors_dtype_name(tensor->dtype));
    }
    for (size_t i = 0; i < tensor->bytes / bytes; i++) values[i] = element(tensor, i);
    return SODA_OK;
}

soda_status safetensors_read_finite(const safetensors_tensor *tensor, float *values)
{
    int64_t count = 1;
    TRY(safetensors_read_f32(tensor, values));
    for (int i = 0; i < tensor->rank; i++) count *= tensor->dim[i];
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return FAIL(SODA_ERR_INPUT, "%s: %s: element %lld is not finite", tensor->file,
                        tensor->name, (long long)i);
    return SODA_OK;
}

const char *safetensors_shape_text(const safetensors_tensor *tensor, char *text, size_t size)
{
    return dims_text(tensor->dim, tensor->rank, text, size);
}
