/* DPM-Solver++, multistep, order 1 or 2, in the data prediction x0.
 *
 *     x_t = (sigma_t / sigma_s) x_s - alpha_t (exp(-h) - 1) (D0 + D1 / 2)   (midpoint)
 *     h = lambda_t - lambda_s,  lambda = log(alpha / sigma)
 *     D0 = x0_s,  D1 = (x0_s - x0_r) h / h_r                Lu et al., arXiv:2211.01095, alg. 2
 *
 * Here sigma without index is sqrt((1 - a) / a), so alpha = 1 / sqrt(sigma^2 + 1), sigma_t = sigma
 * alpha and lambda = -log(sigma). */
#include <math.h>
#include <string.h>

#include "diffusion/sampler_internal.h"

typedef struct {
    int order;
    bool heun, lower_order_final, euler_at_final, ends_at_zero;
} dpmpp_state;

/* Such a model also predicts the variance, in channels of its own. Other values, which DDPM's
 * configurations hold, say nothing about the model. */
static soda_status refuse_learned_variance(const soda_json *config)
{
    const char *type;
    TRY(soda_json_string(config, "variance_type", "", &type));
    if (strcmp(type, "learned") != 0 && strcmp(type, "learned_range") != 0) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "%s: variance_type: expected null or a type that is not learned, found \"%s\"",
                config->file, type);
}

static soda_status read_keys(soda_sampler *sampler, const soda_json *config)
{
    static const char *const algorithms[] = {"dpmsolver++"};
    static const char *const solvers[] = {"midpoint", "heun", "logrho", "bh1", "bh2"};
    dpmpp_state *dpmpp = sampler->state;
    int algorithm, solver;
    int64_t order;
    TRY(sampler_refuse_true(config, "thresholding"));
    TRY(refuse_learned_variance(config));
    TRY(schedule_choose(config, "algorithm_type", algorithms, 1, 0, &algorithm));
    TRY(schedule_choose(config, "solver_type", solvers, 5, 0, &solver));
    TRY(soda_json_int(config, "solver_order", 2, &order));
    if (order < 1 || order > 2)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: solver_order: expected 1 or 2, found %lld",
                    config->file, (long long)order);
    TRY(soda_json_bool(config, "lower_order_final", true, &dpmpp->lower_order_final));
    TRY(soda_json_bool(config, "euler_at_final", false, &dpmpp->euler_at_final));
    dpmpp->order = (int)order;
    dpmpp->heun = solver == 1;
    return SODA_OK;
}

/* The number of timesteps whose lambda is at least lambda_min_clipped. */
static soda_status count_unclipped(const soda_sampler *sampler, const soda_json *config, int *count)
{
    double least;
    *count = sampler->schedule.train_steps;
    TRY(soda_json_double(config, "lambda_min_clipped", -HUGE_VAL, &least));
    for (; *count > 0; --*count) {
        const float a = sampler->schedule.alphas_cumprod[*count - 1];
        const float lambda = logf(sqrtf(a)) - logf(sqrtf(1 - a));
        if (lambda >= (float)least) break;
    }
    if (*count < 2) return soda_json_refuse(config, "lambda_min_clipped", "less");
    return SODA_OK;
}

static soda_status plan(soda_sampler *sampler, const soda_json *config)
{
    const int train_steps = sampler->schedule.train_steps, steps = sampler->steps;
    dpmpp_state *dpmpp = sampler->state;
    int last;
    if (sampler->schedule.zero_snr) /* diffusers: so that the first sigma is finite */
        sampler->schedule.alphas_cumprod[train_steps - 1] = 0x1p-24f;
    TRY(read_keys(sampler, config));
    TRY(count_unclipped(sampler, config, &last));
    TRY(sampler_allocate(sampler, steps + 1, true)); /* leading and linspace drop the lowest */
    const int points = sampler->spacing == SPACE_TRAILING ? steps : steps + 1;
    const int count =
        sampler_space(sampler, points, last, (double)train_steps / steps, true, sampler->timestep);
    sampler->calls = sampler->spacing == SPACE_TRAILING ? count : steps;
    return sampler_plan_sigmas(sampler, config, true, &dpmpp->ends_at_zero);
}

static double to_data(soda_prediction prediction, double sigma, double x, double m)
{
    const double alpha = 1 / sqrt(sigma * sigma + 1);
    switch (prediction) {
    case PREDICT_EPSILON: return (x - sigma * alpha * m) / alpha;
    case PREDICT_V: return alpha * x - sigma * alpha * m;
    case PREDICT_SAMPLE: break;
    }
    return m;
}

static void step(soda_sampler *sampler, int i, const float *output, float *sample)
{
    const dpmpp_state *dpmpp = sampler->state;
    const double to = (double)sampler->sigma[i + 1], from = (double)sampler->sigma[i];
    const double alpha_to = 1 / sqrt(to * to + 1), alpha_from = 1 / sqrt(from * from + 1);
    const double h = log(from) - log(to); /* infinite at the end, where to is 0 */
    const double keep = to * alpha_to / (from * alpha_from), data = -alpha_to * expm1(-h);
    const bool is_last = i == sampler->calls - 1;
    /* A step of length 0, to sigma_min where Karras' sigmas end, changes nothing. Heun's weight is
     * 0 / 0 there, which is how diffusers loses the picture. */
    const bool is_first_order = dpmpp->order == 1 || i == 0 || h == 0 ||
                                (is_last && (dpmpp->euler_at_final || dpmpp->ends_at_zero ||
                                             (dpmpp->lower_order_final && sampler->calls < 15)));
    double slope = 0; /* of x0 from its last value to this one */
    if (!is_first_order) {
        const double weight = dpmpp->heun ? alpha_to * (expm1(-h) / h + 1) : data / 2;
        slope = weight * h / (log((double)sampler->sigma[i - 1]) - log(from));
    }
    float *last = sampler->history;
    for (int64_t k = 0; k < sampler->n; k++) {
        const double x = (double)sample[k];
        const double x0 = to_data(sampler->schedule.prediction, from, x, (double)output[k]);
        double next = keep * x + data * x0;
        if (!is_first_order) next += slope * (x0 - (double)last[k]);
        last[k] = (float)x0;
        sample[k] = (float)next;
    }
}

const sampler_class sampler_dpmpp_2m = {
    .spacing = SPACE_LINSPACE,
    .plan = plan,
    .step = step,
    .history = 1,
    .state_bytes = sizeof(dpmpp_state),
};
