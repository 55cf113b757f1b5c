#include "diffusion/noise.h"

#include "core/philox.h"

void noise_latents(uint64_t seed, uint64_t index, float *x, int64_t n)
{
    enum { LATENTS = 1 }; /* the third word parts the uses of one seed */
    const philox_key key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox_normal(key, (philox_counter){{(uint32_t)index, (uint32_t)(index >> 32), LATENTS}}, x, n);
}

void noise_guide(const float *uncond, const float *cond, float guidance, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = uncond[i] + guidance * (cond[i] - uncond[i]);
}
