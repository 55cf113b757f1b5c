#include "diffusion/noise.h"

#include "core/philox.h"

void noise_latents(uint64_t seed, uint64_t index, float *x, int64_t n)
{
    philox_normal(philox_seed(seed), philox_at(index, PHILOX_LATENTS), x, n);
}

void noise_guide(const float *uncond, const float *cond, float guidance, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = uncond[i] + guidance * (cond[i] - uncond[i]);
}
