#include "comm/exact.h"

#include <math.h>
#include <string.h>

static void add_one(int64_t *limb, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 23 & 255);
    int64_t mantissa = bits & 0x7fffff;
    if (exponent) mantissa |= 0x800000;
    /* x = mantissa 2^(place + EXACT_LOWEST) */
    int place = (exponent ? exponent : 1) - 150 - EXACT_LOWEST;
    if (place < 0) {
        mantissa = place > -24 ? mantissa >> -place : 0;
        place = 0;
    }
    const int j = place / EXACT_LIMB_BITS;
    const int64_t shifted = mantissa << (place % EXACT_LIMB_BITS); /* 24 + 39 bits fit */
    const int64_t low = shifted & EXACT_LIMB_MASK, high = shifted >> EXACT_LIMB_BITS;
    const int64_t sign = bits >> 31 ? -1 : 1;
    limb[j] += sign * low;
    if (high) limb[j + 1] += sign * high;
}

soda_status exact_add(int64_t *limbs, const float *x, int64_t n, int64_t *where)
{
    const float bound = 0x1p49f;
    for (int64_t i = 0; i < n; i++) {
        if (fabsf(x[i]) < bound) continue;
        *where = i;
        return FAIL(SODA_ERR_NUMERIC, "element %lld is %g", (long long)i, (double)x[i]);
    }
    for (int64_t i = 0; i < n; i++) add_one(limbs + EXACT_LIMBS * i, x[i]);
    return SODA_OK;
}
