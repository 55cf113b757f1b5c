#include "diffusion/noise.h"

#include "core/philox.h"

void noise_latents(uint64_t seed, uint64_t index, float *x, int64_t n)
{
    philox_normal(philox_seed(seed), philox_at(index, PHILOX_LATENTS), x, n);
}
