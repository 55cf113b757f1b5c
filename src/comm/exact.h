/* exact.h: sums of fp32 numbers that do not depend on the order, so not on the number of ranks.
 *
 * Each number is a fixed-point integer in EXACT_LIMBS 64-bit limbs of EXACT_LIMB_BITS bits: limb j
 * counts units of 2^(EXACT_LIMB_BITS j + EXACT_LOWEST). Limbs are added as plain integers, locally
 * and over ranks (comm sum_i64), and turned into fp32 once, at the end, correctly rounded. 23 bits
 * of headroom take 2^23 summands. Numbers of 2^49 and more are refused; bits below 2^-110 are cut
 * off, number by number. */
#pragma once

#include <stdint.h>

#include "core/status.h"

enum { EXACT_LIMBS = 4, EXACT_LIMB_BITS = 40, EXACT_LOWEST = -110 };
static const int64_t EXACT_LIMB_MASK = ((int64_t)1 << EXACT_LIMB_BITS) - 1;

/* limbs [n, EXACT_LIMBS] += x [n]. SODA_ERR_NUMERIC if some x is not finite or too large: *where is
 * its index, limbs are as they were. */
soda_status exact_add(int64_t *limbs, const float *x, int64_t n, int64_t *where);

/* x [n] = the sums, rounded to nearest even; limbs are left normalised, with the same value. */
void exact_round(int64_t *limbs, float *x, int64_t n);
