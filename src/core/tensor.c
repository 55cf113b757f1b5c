#include "core/tensor.h"

#include <math.h>
#include <stdio.h>

size_t dtype_bytes(soda_dtype dtype)
{
    static const size_t bytes[] = {
        [SODA_F32] = 4, [SODA_BF16] = 2, [SODA_F16] = 2, [SODA_F64] = 8, [SODA_I32] = 4};
    return bytes[dtype];
}

const char *dtype_name(soda_dtype dtype)
{
    static const char *const names[] = {[SODA_F32] = "fp32",
                                        [SODA_BF16] = "bf16",
                                        [SODA_F16] = "fp16",
                                        [SODA_F64] = "fp64",
                                        [SODA_I32] = "int32"};
    return names[dtype];
}

int64_t shape_count(const soda_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

bool shape_equal(const soda_shape *a, const soda_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

int64_t shape_columns(const soda_shape *shape)
{
    return shape->rank ? shape->dim[shape->rank - 1] : 1;
}

int64_t shape_rows(const soda_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < shape->rank; i++) n *= shape->dim[i];
    return n;
}

char *dims_text(const int64_t *dim, int rank, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "", (long long)dim[i]);
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}

char *shape_text(const soda_shape *shape, char *text, size_t size)
{
    return dims_text(shape->dim, shape->rank, text, size);
}

size_t tensor_bytes(const soda_tensor *tensor)
{
    return (size_t)shape_count(&tensor->shape) * dtype_bytes(tensor->dtype);
}

float f16_to_float(uint16_t h)
{
    const int exponent = (h >> 10) & 31, fraction = h & 1023;
    float value;
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)fraction, -24);
    else
        value = ldexpf((float)(1024 + fraction), exponent - 25);
    return h & 0x8000 ? -value : value;
}
