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

/* A number below n from one word: each has its share of the 2^32 words, give or take one. */
int64_t philox_below(uint32_t word, int64_t n);

/* Fills x[0..n) with standard normals: Box-Muller in fp64 on pairs of words, rounded to fp32. */
void philox_normal(philox_key key, philox_counter counter, float *x, int64_t n);

/* What the numbers of one seed are for: no two uses share a number. */
typedef enum {
    PHILOX_LATENTS = 1, /* starting noise of a picture, by picture of the run */
    PHILOX_NOISE,       /* training noise, by sample of the run */
    PHILOX_TIMESTEP,
    PHILOX_POSTERIOR, /* noise of the VAE's posterior */
    PHILOX_CAPTION,   /* caption dropout */
    PHILOX_ORDER,     /* order of the samples, by epoch */
    PHILOX_VARIANT,   /* crop and flip, by sample of the run */
    PHILOX_CROP,      /* where crop number i of an image lies, by image */
    PHILOX_HELD_OUT,  /* noise of the held-out loss, by image and timestep */
} philox_use;

/* Key: the seed's low and high word. Counter: low and high word of index, then use. */
philox_key philox_seed(uint64_t seed);
philox_counter philox_at(uint64_t index, philox_use use);
