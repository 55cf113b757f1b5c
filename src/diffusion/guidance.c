#include "diffusion/guidance.h"

void guidance_apply(const float *uncond, const float *cond, float scale, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
}
