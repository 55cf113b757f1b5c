#include "comm/exact.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LIMB_BITS = 40, LOWEST = -110 };
static const int64_t LIMB_MASK = ((int64_t)1 << LIMB_BITS) - 1;

static void add_one(int64_t *limb, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 23 & 255);
    int64_t mantissa = bits & 0x7fffff;
    if (exponent) mantissa |= 0x800000;
    int place = (exponent ? exponent : 1) - 150 - LOWEST; /* x = mantissa 2^(place + LOWEST) */
    if (place < 0) {
        mantissa = place > -24 ? mantissa >> -place : 0;
        place = 0;
    }
    const int j = place / LIMB_BITS;
    const int64_t shifted = mantissa << (place % LIMB_BITS); /* 24 + 39 bits fit */
    const int64_t low = shifted & LIMB_MASK, high = shifted >> LIMB_BITS;
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

/* Carries upwards: all limbs but the top one end in [0, 2^40); the top one has the sign. */
static void normalise(int64_t *limb)
{
    for (int j = 0; j + 1 < EXACT_LIMBS; j++) {
        const int64_t carry = limb[j] >> LIMB_BITS; /* floor: arithmetic shift on our compilers */
        limb[j] -= carry * (LIMB_MASK + 1);
        limb[j + 1] += carry;
    }
}

/* The value of normalised, non-negative limbs. The 24 leading bits are kept, the rest decides the
 * rounding: half to even. */
static double round_magnitude(const int64_t *limb)
{
    int top = EXACT_LIMBS - 1;
    while (top > 0 && limb[top] == 0) top--;
    if (limb[top] == 0) return 0;
    /* 104 bits from the top limb (up to 64) and the one below; what is below those is sticky. */
    unsigned __int128 head = (unsigned __int128)(uint64_t)limb[top] << LIMB_BITS;
    if (top > 0) head |= (uint64_t)limb[top - 1];
    bool sticky = false;
    for (int j = 0; j < top - 1; j++) sticky |= limb[j] != 0;
    int length = 0;
    while (length < 128 && head >> length) length++;
    const int cut = length - 24;
    uint64_t kept = (uint64_t)(cut > 0 ? head >> cut : head << -cut);
    if (cut > 0) {
        const unsigned __int128 rest = head & (((unsigned __int128)1 << cut) - 1);
        const unsigned __int128 half = (unsigned __int128)1 << (cut - 1);
        if (rest > half || (rest == half && (sticky || (kept & 1)))) kept++;
    }
    return ldexp((double)kept, cut + LIMB_BITS * (top - 1) + LOWEST);
}

void exact_round(int64_t *limbs, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t *limb = limbs + EXACT_LIMBS * i;
        normalise(limb);
        if (limb[EXACT_LIMBS - 1] >= 0) {
            x[i] = (float)round_magnitude(limb);
            continue;
        }
        int64_t negated[EXACT_LIMBS];
        for (int j = 0; j < EXACT_LIMBS; j++) negated[j] = -limb[j];
        normalise(negated);
        x[i] = (float)-round_magnitude(negated);
    }
}
