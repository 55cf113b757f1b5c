/* The sums of exact.h become fp32. */
#include <math.h>
#include <stdbool.h>

#include "comm/exact.h"

/* Carries upwards: all limbs but the top one end in [0, 2^40); the top one has the sign. */
static void normalise(int64_t *limb)
{
    for (int j = 0; j + 1 < EXACT_LIMBS; j++) {
        const int64_t carry =
            limb[j] >> EXACT_LIMB_BITS; /* floor: arithmetic shift on our compilers */
        limb[j] -= carry * (EXACT_LIMB_MASK + 1);
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
    unsigned __int128 head = (unsigned __int128)(uint64_t)limb[top] << EXACT_LIMB_BITS;
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
    return ldexp((double)kept, cut + EXACT_LIMB_BITS * (top - 1) + EXACT_LOWEST);
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
