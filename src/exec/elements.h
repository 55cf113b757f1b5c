/* elements.h: elements of a value whose type is not fp32, from fp32 and back. */
#pragma once

#include "core/status.h"
#include "core/tensor.h"

/* x [count] as elements of `dtype`, fp64 or bf16. SODA_ERR_INTERNAL: another type. */
soda_status elements_from_f32(const float *x, int64_t count, soda_dtype dtype, void *elements);
soda_status elements_to_f32(const void *elements, int64_t count, soda_dtype dtype, float *x);
