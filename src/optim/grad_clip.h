/* grad_clip.h: one norm over all gradients, and the factor that brings it down to a limit. */
#pragma once

#include <stdint.h>

typedef struct {
    float *x;
    int64_t count;
} grad_clip_tensor;

/* sqrt of the sum of squares over all tensors, in fp64, in the order of the list: the same bits on
 * every rank. Not finite if any element is not. */
double grad_clip_norm(const grad_clip_tensor *tensors, int64_t count);

/* min(1, limit / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
double grad_clip_factor(double norm, double limit);

/* x <- factor x for all tensors, the factor rounded to fp32 first; nothing if it is 1. */
void grad_clip_apply(const grad_clip_tensor *tensors, int64_t count, double factor);
