/* DDIM with eta 0: x0 is predicted, and mixed with the predicted noise for the level before.
 *
 *     x_prev = sqrt(a_prev) x0 + sqrt(1 - a_prev) eps      Song et al., arXiv:2010.02502, eq. 12 */
#include <math.h>

#include "diffusion/sampler_internal.h"

typedef struct {
    bool clip;
    double clip_range;
    double final_alpha; /* a before timestep 0 */
} ddim_state;

static soda_status plan(soda_sampler *sampler, const soda_json *config)
{
    const int train_steps = sampler->schedule.train_steps, steps = sampler->steps;
    ddim_state *ddim = sampler->state;
    bool to_one;
    TRY(sampler_refuse_true(config, "thresholding"));
    TRY(soda_json_bool(config, "clip_sample", true, &ddim->clip));
    TRY(soda_json_double(config, "clip_sample_range", 1, &ddim->clip_range));
    if (!(ddim->clip_range > 0))
        return soda_json_refuse(config, "clip_sample_range", "more than 0");
    TRY(soda_json_bool(config, "set_alpha_to_one", true, &to_one));
    ddim->final_alpha = to_one ? 1 : (double)sampler->schedule.alphas_cumprod[0];
    TRY(sampler_allocate(sampler, steps, false));
    sampler->calls = sampler_space(sampler, steps, train_steps, (double)train_steps / steps, true,
                                   sampler->timestep);
    TRY(sampler_check_timesteps(sampler));
    const int first = (int)sampler->timestep[0];
    if (sampler->schedule.alphas_cumprod[first] <= 0 &&
        sampler->schedule.prediction == PREDICT_EPSILON)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: rescale_betas_zero_snr: timestep %d has no signal, "
                    "so prediction_type epsilon does not determine the sample",
                    config->file, first);
    return SODA_OK;
}

static void step(soda_sampler *sampler, int i, const float *output, float *sample)
{
    const ddim_state *ddim = sampler->state;
    const double t = sampler->timestep[i];
    const double before = t - sampler_stride(sampler);
    const double a = sampler_alpha(sampler, t, 0);
    const double a_prev = sampler_alpha(sampler, before, ddim->final_alpha);
    const double signal = sqrt(a), spread = sqrt(1 - a);
    const double signal_prev = sqrt(a_prev), spread_prev = sqrt(1 - a_prev);
    const double range = ddim->clip ? ddim->clip_range : HUGE_VAL;
    for (int64_t k = 0; k < sampler->n; k++) {
        const double x = (double)sample[k], m = (double)output[k];
        double x0 = m, eps = m;
        switch (sampler->schedule.prediction) {
        case PREDICT_EPSILON: x0 = (x - spread * m) / signal; break;
        case PREDICT_SAMPLE: eps = (x - signal * m) / spread; break;
        case PREDICT_V:
            x0 = signal * x - spread * m;
            eps = signal * m + spread * x;
            break;
        }
        x0 = x0 > range ? range : x0 < -range ? -range : x0; /* NaN stays */
        sample[k] = (float)(signal_prev * x0 + spread_prev * eps);
    }
}

const sampler_class sampler_ddim = {
    .spacing = SPACE_LEADING, .plan = plan, .step = step, .state_bytes = sizeof(ddim_state)};
