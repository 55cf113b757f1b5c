/* Which timesteps and sigmas a sampler visits. numpy's order of operations is kept, so that numbers
 * that are rounded to integers land on the same ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_internal.h"

soda_status sampler_allocate(soda_sampler *sampler, int calls, bool with_sigma)
{
    sampler->calls = calls;
    sampler->timestep = calloc((size_t)calls, sizeof *sampler->timestep);
    if (with_sigma) sampler->sigma = calloc((size_t)calls + 1, sizeof *sampler->sigma);
    if (!sampler->timestep || (with_sigma && !sampler->sigma))
        return FAIL(SODA_ERR_MEMORY, "out of memory for %d timesteps", calls);
    return SODA_OK;
}

int sampler_space(const soda_sampler *sampler, int points, int last, double step, bool rounded,
                  double *values)
{
    const int stride = last / points; /* cut off, as in diffusers */
    int count = points;
    switch (sampler->spacing) {
    case SPACE_LINSPACE: /* numpy.linspace(0, last - 1, points), from its end */
        for (int i = 0; i < points; i++) {
            const int k = points - 1 - i;
            const double value = points == 1 ? 0
                                 : i == 0    ? last - 1
                                             : k * ((last - 1.0) / (points - 1));
            values[i] = rounded ? rint(value) : value;
        }
        break;
    case SPACE_LEADING:
        for (int i = 0; i < points; i++)
            values[i] = (double)(points - 1 - i) * stride + sampler->offset;
        break;
    case SPACE_TRAILING: /* numpy.arange(last, 0, -step) - 1 */
    {
        const double delta = (last - step) - last;
        count = 0;
        /* diffusers appends timestep -1 where rounding makes arange one longer (61 steps, say) */
        for (double value; count < points; count++) {
            value = rint(last + count * delta) - 1;
            if (value < 0) break;
            values[count] = value;
        }
        break;
    }
    }
    return count;
}

soda_status sampler_refuse_true(const soda_json *config, const char *key)
{
    bool value;
    TRY(soda_json_bool(config, key, false, &value));
    if (!value) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: expected false, found true", config->file, key);
}

soda_status sampler_check_timesteps(const soda_sampler *sampler)
{
    for (int i = 0; i < sampler->calls; i++) {
        const double t = sampler->timestep[i];
        if (t >= 0 && t < sampler->schedule.train_steps) continue;
        return FAIL(SODA_ERR_USAGE,
                    "steps: %d steps with steps_offset %d reach timestep %.0f of %d",
                    sampler->steps, sampler->offset, t, sampler->schedule.train_steps);
    }
    return SODA_OK;
}

int sampler_stride(const soda_sampler *sampler)
{
    return sampler->schedule.train_steps / sampler->steps;
}

double sampler_alpha(const soda_sampler *sampler, double t, double final_alpha)
{
    return t < 0 ? final_alpha : (double)sampler->schedule.alphas_cumprod[(int)t];
}

/* ---- sigmas ---- */

/* sigma at an integer timestep, in fp32 as diffusers has it */
static double train_sigma(const soda_sampler *sampler, int t)
{
    const float a = sampler->schedule.alphas_cumprod[t];
    return (double)sqrtf((1.0f - a) / a);
}

/* numpy.interp: linear between integer timesteps, constant beyond the last. */
static double sigma_at(const soda_sampler *sampler, double t)
{
    const int last = sampler->schedule.train_steps - 1, low = (int)t;
    if (t >= last) return train_sigma(sampler, last);
    const double first = train_sigma(sampler, low);
    return (train_sigma(sampler, low + 1) - first) * (t - low) + first;
}

/* The timestep that has this sigma: linear in log sigma between integers. */
static double timestep_of(const soda_sampler *sampler, double sigma)
{
    const int last = sampler->schedule.train_steps - 1;
    const double wanted = log(sigma);
    int low = 0, high = last;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if ((double)logf((float)train_sigma(sampler, middle)) <= wanted)
            low = middle;
        else
            high = middle;
    }
    const double a = (double)logf((float)train_sigma(sampler, low));
    const double b = (double)logf((float)train_sigma(sampler, low + 1));
    const double w = fmin(fmax((a - wanted) / (a - b), 0), 1);
    return (1 - w) * low + w * (low + 1);
}

/* Karras et al., arXiv:2206.00364, eq. 5 with rho 7, between two sigmas. */
static void use_karras(soda_sampler *sampler, double from, double to, bool rounded)
{
    const double rho = 7, a = pow(from, 1 / rho), b = pow(to, 1 / rho);
    for (int i = 0; i < sampler->calls; i++) {
        const double ramp = sampler->calls == 1 ? 0 : (double)i / (sampler->calls - 1);
        const double sigma = pow(a + ramp * (b - a), rho), t = timestep_of(sampler, sigma);
        sampler->sigma[i] = (float)sigma;
        sampler->timestep[i] = rounded ? rint(t) : t;
    }
}

static soda_status refuse_number(const soda_json *config, const char *key)
{
    double value;
    TRY(soda_json_double(config, key, (double)NAN, &value));
    if (isnan(value)) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: expected null, found %g", config->file, key, value);
}

static soda_status read_sigma_keys(const soda_json *config, bool *karras, bool *ends_at_zero)
{
    static const char *const refused[] = {"use_exponential_sigmas", "use_beta_sigmas",
                                          "use_lu_lambdas", "use_flow_sigmas",
                                          "use_dynamic_shifting"};
    static const char *const ends[] = {"zero", "sigma_min"};
    int end;
    for (int i = 0; i < 5; i++) TRY(sampler_refuse_true(config, refused[i]));
    TRY(refuse_number(config, "sigma_min"));
    TRY(refuse_number(config, "sigma_max"));
    TRY(soda_json_bool(config, "use_karras_sigmas", false, karras));
    TRY(schedule_choose(config, "final_sigmas_type", ends, 2, 0, &end));
    *ends_at_zero = end == 0;
    return SODA_OK;
}

soda_status sampler_plan_sigmas(soda_sampler *sampler, const soda_json *config, bool is_dpmpp,
                                bool *ends_at_zero)
{
    static const char cosine[] = "squaredcos_cap_v2";
    const int calls = sampler->calls, last = sampler->schedule.train_steps - 1;
    const char *betas;
    bool karras;
    TRY(read_sigma_keys(config, &karras, ends_at_zero));
    TRY(soda_json_string(config, "beta_schedule", "", &betas));
    for (int i = 0; i < calls; i++)
        sampler->sigma[i] = (float)sigma_at(sampler, sampler->timestep[i]);
    if (karras && is_dpmpp && strcmp(betas, cosine) == 0) /* diffusers fails in its last step */
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: use_karras_sigmas: expected false with %s",
                    config->file, cosine);
    if (karras && is_dpmpp) /* over the whole schedule, at integers */
        use_karras(sampler, train_sigma(sampler, last), train_sigma(sampler, 0), true);
    else if (karras) /* between the sigmas that the spacing would give */
        use_karras(sampler, sigma_at(sampler, sampler->timestep[0]),
                   sigma_at(sampler, sampler->timestep[calls - 1]), false);
    sampler->sigma[calls] = *ends_at_zero ? 0 : (float)train_sigma(sampler, 0);
    for (int i = 0; i < calls; i++) {
        const float from = sampler->sigma[i], to = sampler->sigma[i + 1];
        /* DPM++ divides by the length of the step before: only its last one may be 0 */
        if (from > to || (from == to && (!is_dpmpp || i == calls - 1))) continue;
        return FAIL(SODA_ERR_USAGE,
                    "steps: %d are too many for this schedule: sigma %d is %g, the next one %g",
                    sampler->steps, i, (double)from, (double)to);
    }
    return SODA_OK;
}
