#include "exec/elements.h"

soda_status elements_from_f32(const float *x, int64_t count, soda_dtype dtype, void *elements)
{
    double *wide = elements;
    uint16_t *half = elements;
    switch (dtype) {
    case SODA_F64:
        for (int64_t i = 0; i < count; i++) wide[i] = (double)x[i];
        return SODA_OK;
    case SODA_BF16:
        for (int64_t i = 0; i < count; i++) half[i] = bf16_from_float(x[i]);
        return SODA_OK;
    default: return FAIL(SODA_ERR_INTERNAL, "exec: %s as fp32", dtype_name(dtype));
    }
}

soda_status elements_to_f32(const void *elements, int64_t count, soda_dtype dtype, float *x)
{
    const double *wide = elements;
    const uint16_t *half = elements;
    switch (dtype) {
    case SODA_F64:
        for (int64_t i = 0; i < count; i++) x[i] = (float)wide[i];
        return SODA_OK;
    case SODA_BF16:
        for (int64_t i = 0; i < count; i++) x[i] = bf16_to_float(half[i]);
        return SODA_OK;
    default: return FAIL(SODA_ERR_INTERNAL, "exec: %s as fp32", dtype_name(dtype));
    }
}
