/* guidance.h: classifier-free guidance. */
#pragma once

#include <stdint.h>

/* out[i] = uncond[i] + scale (cond[i] - uncond[i]), in fp32; out may be either input.
 *                                                   Ho & Salimans, arXiv:2207.12598 */
void guidance_apply(const float *uncond, const float *cond, float scale, float *out, int64_t n);
