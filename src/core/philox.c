#include "core/philox.h"

#include <Random123/philox.h>
#include <math.h>

static philox4x32_ctr_t block(philox_key key, philox_counter counter, uint32_t index)
{
    const philox4x32_key_t k = {{key.word[0], key.word[1]}};
    const philox4x32_ctr_t c = {{counter.word[0], counter.word[1], counter.word[2], index}};
    return philox4x32(c, k);
}

void philox_bits(philox_key key, philox_counter counter, uint32_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4) {
        const philox4x32_ctr_t r = block(key, counter, (uint32_t)(i / 4));
        for (int j = 0; j < 4 && i + j < n; j++) x[i + j] = r.v[j];
    }
}

void philox_normal(philox_key key, philox_counter counter, float *x, int64_t n)
{
    const double two_pi = 6.283185307179586476925;
    for (int64_t i = 0; i < n; i += 4) {
        const philox4x32_ctr_t r = block(key, counter, (uint32_t)(i / 4));
        for (int j = 0; j < 4; j += 2) {
            /* (word + 1/2) / 2^32 lies strictly between 0 and 1 */
            const double u = ((double)r.v[j] + 0.5) * 0x1p-32,
                         v = ((double)r.v[j + 1] + 0.5) * 0x1p-32;
            const double radius = sqrt(-2 * log(u));
            if (i + j < n) x[i + j] = (float)(radius * cos(two_pi * v));
            if (i + j + 1 < n) x[i + j + 1] = (float)(radius * sin(two_pi * v));
        }
    }
}

int64_t philox_below(uint32_t word, int64_t n)
{
    return (int64_t)(((uint64_t)word * (uint64_t)n) >> 32);
}

philox_key philox_seed(uint64_t seed)
{
    return (philox_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}};
}

philox_counter philox_at(uint64_t index, philox_use use)
{
    return (philox_counter){{(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)use}};
}
