/* inputs.h: frozen weights as fp32, and other checks that many kernels make in prepare. */
#pragma once

#include "backend/backend.h"

/* A prepare: checks that every input and output is fp32, bf16 or int32, and that none is frozen. */
soda_status inputs_prepare_plain(soda_call *call, soda_weights *weights);

/* A prepare: asks for every frozen input as fp32. What is not frozen must be fp32 or bf16. */
soda_status inputs_prepare_frozen(soda_call *call, soda_weights *weights);

/* Input `i` as the kernel reads it: the fp32 copy if it is frozen, else the tensor itself. */
soda_tensor inputs_get(const soda_call *call, int i);

/* Input `i` as fp32: its own memory if it is fp32 already, else converted to `buffer`. */
const float *inputs_f32(const soda_call *call, int i, float *buffer);

/* Converts `count` elements of any float type, not necessarily aligned, to fp32. */
soda_status inputs_convert(const void *source, soda_dtype dtype, int64_t count, float *x);

/* The address of element `index` of a tensor. */
static inline void *inputs_at(const soda_tensor *tensor, int64_t index)
{
    return (char *)tensor->data + (size_t)index * dtype_bytes(tensor->dtype);
}
