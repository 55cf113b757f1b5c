/* value.h: one element of a tensor of any float type, as a double. Only the reference uses it. */
#pragma once

#include <string.h>

#include "core/tensor.h"

/* Element i of t, exactly. By memcpy: a frozen weight lies in its file as it likes. */
static inline double get(const soda_tensor *t, int64_t i)
{
    const char *p = t->data;
    uint16_t half;
    float single;
    double value = 0;
    switch (t->dtype) {
    case SODA_F64: memcpy(&value, p + i * 8, sizeof value); return value;
    case SODA_F32: memcpy(&single, p + i * 4, sizeof single); return (double)single;
    case SODA_BF16: memcpy(&half, p + i * 2, sizeof half); return (double)bf16_to_float(half);
    case SODA_F16: memcpy(&half, p + i * 2, sizeof half); return (double)f16_to_float(half);
    case SODA_I32: break; /* never a value of a computation */
    }
    return value;
}

/* A double as bf16 in one rounding. Through fp32 it would be two: a value just off the middle of
 * two bf16 numbers can become the middle, so fp32 is first moved back to the side it came from. */
static inline uint16_t bf16_from_double(double value)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = (float)value};
    const double rounded = (double)v.f;
    if ((v.u & 0xffffu) == 0x8000u && rounded != value) {
        const double size = value < 0 ? -value : value;
        const double rounded_size = rounded < 0 ? -rounded : rounded;
        v.u = size > rounded_size ? v.u + 1 : v.u - 1;
    }
    return bf16_from_float(v.f);
}

/* Rounds `value` once to the type of t; nothing computes in fp16, so nothing is stored in it. */
static inline void set(const soda_tensor *t, int64_t i, double value)
{
    switch (t->dtype) {
    case SODA_F64: ((double *)t->data)[i] = value; break;
    case SODA_F32: ((float *)t->data)[i] = (float)value; break;
    case SODA_BF16: ((uint16_t *)t->data)[i] = bf16_from_double(value); break;
    case SODA_F16:
    case SODA_I32: break;
    }
}
