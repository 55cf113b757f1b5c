/* Euler's method on  dx/dsigma = (x - x0) / sigma,  where x is the sample over sqrt(a).
 *                                                   Karras et al., arXiv:2206.00364, eq. 1 */
#include <math.h>

#include "diffusion/sampler_internal.h"

static soda_status plan(soda_sampler *sampler, const soda_json *config)
{
    static const char *const linear[] = {"linear"}, *const discrete[] = {"discrete"};
    const int train_steps = sampler->schedule.train_steps, steps = sampler->steps;
    int only;
    bool ends_at_zero;
    TRY(schedule_choose(config, "interpolation_type", linear, 1, 0, &only));
    TRY(schedule_choose(config, "timestep_type", discrete, 1, 0, &only));
    if (sampler->schedule.zero_snr) /* diffusers: so that the first sigma is finite */
        sampler->schedule.alphas_cumprod[train_steps - 1] = 0x1p-24f;
    TRY(sampler_allocate(sampler, steps, true));
    sampler->calls = sampler_space(sampler, steps, train_steps, (double)train_steps / steps, false,
                                   sampler->timestep);
    for (int i = 0; i < sampler->calls; i++)
        sampler->timestep[i] = (double)(float)sampler->timestep[i];
    TRY(sampler_plan_sigmas(sampler, config, false, &ends_at_zero));
    const float largest = sampler->sigma[0];
    sampler->init_sigma =
        sampler->spacing == SPACE_LEADING ? sqrtf(largest * largest + 1) : largest;
    return SODA_OK;
}

static void step(soda_sampler *sampler, int i, const float *output, float *sample)
{
    const double sigma = (double)sampler->sigma[i], change = (double)sampler->sigma[i + 1] - sigma;
    const double norm = sigma * sigma + 1;
    for (int64_t k = 0; k < sampler->n; k++) {
        const double x = (double)sample[k], m = (double)output[k];
        double slope = m;
        switch (sampler->schedule.prediction) {
        case PREDICT_EPSILON: break;
        case PREDICT_SAMPLE: slope = (x - m) / sigma; break;
        case PREDICT_V: slope = (x - (x / norm - m * sigma / sqrt(norm))) / sigma; break;
        }
        sample[k] = (float)(x + slope * change);
    }
}

/* The network was trained on samples of unit variance. */
static double input_scale(const soda_sampler *sampler, int i)
{
    const double sigma = (double)sampler->sigma[i];
    return 1 / sqrt(sigma * sigma + 1);
}

const sampler_class sampler_euler = {
    .spacing = SPACE_LINSPACE, .plan = plan, .step = step, .input_scale = input_scale};
