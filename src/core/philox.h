/* philox.h: counter-based random numbers, the same on any machine and any number of ranks.
 *
 * Philox4x32-10 (Salmon et al., SC 2011) by the Random123 library. A number is a function of key
 * and counter alone: there is no state to save. */
#pragma once

#include <stdint.h>

typedef struct {
    uint32_t word[2];
} philox_key;

typedef struct {
    uint32_t word[3]; /* the fourth word of the generator counts within one call */
} philox_counter;

/* Fills x[0..n) with uniform 32-bit words. */
void philox_bits(philox_key key, philox_counter counter, uint32_t *x, int64_t n);

/* Fills x[0..n) with standard normals: Box-Muller in fp64 on pairs of words, rounded to fp32. */
void philox_normal(philox_key key, philox_counter counter, float *x, int64_t n);
