/* noise.h: the starting latents of a picture. */
#pragma once

#include <stdint.h>

/* Fills x[0..n) with standard normals that depend on (seed, index) alone: Philox with the seed's
 * low and high word as key, and counter {low word of index, high word of index, 1, block}. `index`
 * counts the pictures of a run, prompt by prompt. */
void noise_latents(uint64_t seed, uint64_t index, float *x, int64_t n);
