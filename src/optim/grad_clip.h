/* grad_clip.h: one norm over all gradients, and the factor that brings it down to a limit. */
#pragma once

#include <stdint.h>

/* sqrt of the sum of squares of x [n], in fp64, in the order of the elements: the same bits on
 * every rank. Not finite if any element is not. */
double grad_clip_norm(const float *x, int64_t n);

/* min(1, limit / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
double grad_clip_factor(double norm, double limit);
