#include "train/noising.h"

#include "core/philox.h"
#include "diffusion/min_snr.h"
#include "diffusion/prediction.h"

/* On entry `sample` holds x0 and `target` the noise; a chunk at a time, since both are overwritten.
 */
static void mix(const soda_schedule *schedule, int t, int64_t count, float *sample, float *target)
{
    enum { CHUNK = 256 };
    float x0[CHUNK], noise[CHUNK];
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int64_t n = count - at < CHUNK ? count - at : CHUNK;
        for (int64_t i = 0; i < n; i++) {
            x0[i] = sample[at + i];
            noise[i] = target[at + i];
        }
        schedule_add_noise(schedule, t, x0, noise, sample + at, n);
        prediction_target(schedule, t, x0, noise, target + at, n);
    }
}

void noising_draw(const noising_rules *r, uint64_t number, const float *mean, const float *std,
                  int64_t count, noising_place to)
{
    const philox_key key = philox_seed(r->seed);
    uint32_t word;
    philox_bits(key, philox_at(number, PHILOX_TIMESTEP), &word, 1);
    const int t = (int)philox_below(word, r->schedule->train_steps);
    philox_normal(key, philox_at(number, PHILOX_POSTERIOR), to.sample, count);
    philox_normal(key, philox_at(number, PHILOX_NOISE), to.target, count);
    const float factor = (float)r->scaling_factor;
    for (int64_t i = 0; i < count; i++) to.sample[i] = factor * (mean[i] + std[i] * to.sample[i]);
    mix(r->schedule, t, count, to.sample, to.target);
    *to.timestep = (float)t;
    *to.weight = r->min_snr_gamma > 0 ? (float)min_snr_weight(r->schedule, t, r->min_snr_gamma) : 1;
}

void noising_held_out(const noising_rules *r, uint64_t number, int t, const float *mean,
                      int64_t count, float *sample, float *target)
{
    philox_normal(philox_seed(r->seed), philox_at(number, PHILOX_HELD_OUT), target, count);
    const float factor = (float)r->scaling_factor;
    for (int64_t i = 0; i < count; i++) sample[i] = factor * mean[i];
    mix(r->schedule, t, count, sample, target);
}
