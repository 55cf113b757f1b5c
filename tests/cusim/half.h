/* bf16 and fp16 as bits. Rounding to nearest even; a NaN result is 0x7fff, as on a GPU. */
#ifndef SIM_HALF_H
#define SIM_HALF_H

#include "lanes.h"

static inline float from_bf16(uint32_t h) { return as_float((h & 0xffff) << 16); }
static inline uint32_t to_bf16(float v)
{
    const uint32_t bits = as_bits(v);
    return v != v ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline float from_f16(uint32_t h)
{
    const uint32_t sign = (h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest > 0x7c00) return as_float(0x7fffffffu);
    if (rest == 0x7c00) return as_float(sign | 0x7f800000u);
    const float magnitude =
        rest >= 0x400 ? as_float((rest << 13) + (112u << 23)) : (float)rest * 0x1p-24f;
    return as_float(sign | as_bits(magnitude));
}
static inline uint32_t to_f16(float v)
{
    const uint32_t bits = as_bits(v), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return 0x7fff;
    if (rest >= 0x477ff000u) return sign | 0x7c00; /* 65520 and above */
    if (rest < 0x38800000u)                        /* subnormal: in units of 2^-24 */
        return sign | (uint32_t)(int32_t)nearbyintf(as_float(rest) * 0x1p24f);
    return sign | ((rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13);
}

#endif
