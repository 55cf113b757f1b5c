/* noise.h: the starting latents of a picture, and classifier-free guidance. */
#pragma once

#include <stdint.h>

/* Fills x[0..n) with standard normals that depend on (seed, index) alone: Philox with the seed's
 * low and high word as key, and counter {low word of index, high word of index, 1, block}. `index`
 * counts the pictures of a run, prompt by prompt. */
void noise_latents(uint64_t seed, uint64_t index, float *x, int64_t n);

/* out[i] = uncond[i] + guidance (cond[i] - uncond[i]), in fp32; out may be either input.
 *                                                   Ho & Salimans, arXiv:2207.12598 */
void noise_guide(const float *uncond, const float *cond, float guidance, float *out, int64_t n);
