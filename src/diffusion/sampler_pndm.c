/* PNDM: the noise over the next step is estimated from several model outputs. Three Runge-Kutta
 * steps of four calls start it (or, with skip_prk_steps, lower orders), four outputs carry it on.
 *
 *     x_prev = sqrt(a_prev / a) x - (a_prev - a) eps / (a sqrt(1 - a_prev) + sqrt(a (1 - a)
 * a_prev)) Liu et al., arXiv:2202.09778, eq. 11 and 12 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_internal.h"

typedef struct {
    bool skip_prk;
    int prk_calls; /* 12, or 0 */
    double final_alpha;
    int kept; /* model outputs in the history */
} pndm_state;

/* The history: the four last outputs, the sample a step started from, a running sum. */
enum { OUTPUTS = 4, START = OUTPUTS, SUM, HISTORY };
enum { PRK_STEPS = 3, PRK_CALLS = 12 };

static float *kept(soda_sampler *sampler, int place)
{
    return sampler->history + (int64_t)place * sampler->n;
}

/* Output `age` calls ago; 0 is the newest. */
static const float *output_of(soda_sampler *sampler, int age)
{
    const pndm_state *pndm = sampler->state;
    return kept(sampler, (pndm->kept - 1 - age) % OUTPUTS);
}

static void keep_output(soda_sampler *sampler, const float *output)
{
    pndm_state *pndm = sampler->state;
    float *place = kept(sampler, pndm->kept++ % OUTPUTS);
    memcpy(place, output, (size_t)sampler->n * sizeof *place);
}

/* Calls of the model from the `steps` spaced timesteps, falling. */
static void plan_calls(soda_sampler *sampler, const double *spaced, int steps)
{
    const pndm_state *pndm = sampler->state;
    double *t = sampler->timestep;
    if (pndm->skip_prk) { /* the second timestep twice: an Euler step, then a better one */
        t[0] = spaced[0];
        for (int i = 1; i < sampler->calls; i++) t[i] = spaced[i == 1 ? i : i - 1];
        return;
    }
    const int half = sampler_stride(sampler) / 2;
    for (int i = 0; i < PRK_STEPS; i++) {
        t[4 * i] = spaced[i];
        t[4 * i + 1] = t[4 * i + 2] = spaced[i + 1] + half;
        t[4 * i + 3] = spaced[i + 1];
    }
    for (int i = PRK_STEPS; i < steps; i++) t[PRK_CALLS + i - PRK_STEPS] = spaced[i];
}

static soda_status plan(soda_sampler *sampler, const soda_json *config)
{
    pndm_state *pndm = sampler->state;
    const int train_steps = sampler->schedule.train_steps, steps = sampler->steps;
    bool to_one;
    if (sampler->schedule.prediction == PREDICT_SAMPLE)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: prediction_type: expected epsilon or v_prediction with PNDM, found sample",
                    config->file);
    TRY(sampler_refuse_true(config, "rescale_betas_zero_snr")); /* PNDM divides by a */
    TRY(soda_json_bool(config, "skip_prk_steps", false, &pndm->skip_prk));
    TRY(soda_json_bool(config, "set_alpha_to_one", false, &to_one));
    pndm->final_alpha = to_one ? 1 : (double)sampler->schedule.alphas_cumprod[0];
    pndm->prk_calls = pndm->skip_prk ? 0 : PRK_CALLS;
    if (!pndm->skip_prk && steps <= PRK_STEPS)
        return FAIL(SODA_ERR_USAGE,
                    "steps: expected 4 or more for PNDM without skip_prk_steps, found %d", steps);
    const int calls = pndm->skip_prk ? steps + (steps > 1) : steps + PRK_CALLS - PRK_STEPS;
    TRY(sampler_allocate(sampler, calls, false));
    double *spaced = malloc((size_t)steps * sizeof *spaced);
    if (!spaced) return FAIL(SODA_ERR_MEMORY, "out of memory for %d timesteps", steps);
    sampler_space(sampler, steps, train_steps, (double)train_steps / steps, true, spaced);
    plan_calls(sampler, spaced, steps);
    free(spaced);
    TRY(sampler_check_timesteps(sampler));
    if (!pndm->skip_prk || calls == 1) return SODA_OK;
    const double above = sampler->timestep[1] + sampler_stride(sampler); /* see step_again */
    if (above >= train_steps)
        return FAIL(SODA_ERR_USAGE,
                    "steps: %d steps with steps_offset %d reach timestep %.0f of %d", steps,
                    sampler->offset, above, train_steps);
    return SODA_OK;
}

/* The coefficients of a step from timestep t to `before`. */
typedef struct {
    double signal, spread; /* sqrt(a), sqrt(1 - a): v becomes noise */
    double keep, move;     /* x_prev = keep x - move eps */
    bool is_v;
} transfer;

static transfer transfer_between(const soda_sampler *sampler, double t, double before)
{
    const pndm_state *pndm = sampler->state;
    const double a = sampler_alpha(sampler, t, 0);
    const double a_prev = sampler_alpha(sampler, before, pndm->final_alpha);
    return (transfer){
        .signal = sqrt(a),
        .spread = sqrt(1 - a),
        .keep = sqrt(a_prev / a),
        .move = (a_prev - a) / (a * sqrt(1 - a_prev) + sqrt(a * (1 - a) * a_prev)),
        .is_v = sampler->schedule.prediction == PREDICT_V,
    };
}

static float apply(transfer c, double x, double m)
{
    const double eps = c.is_v ? c.signal * m + c.spread * x : m;
    return (float)(c.keep * x - c.move * eps);
}

/* One call of a Runge-Kutta step: outputs are weighted 1/6, 1/3, 1/3, 1/6 in the end. */
static void step_prk(soda_sampler *sampler, int i, const float *output, float *sample)
{
    const int half = sampler_stride(sampler) / 2, phase = i % 4;
    const double before = sampler->timestep[i] - (i % 2 ? 0 : half);
    const transfer c = transfer_between(sampler, sampler->timestep[i - phase], before);
    float *start = kept(sampler, START), *sum = kept(sampler, SUM);
    if (phase == 0) {
        keep_output(sampler, output);
        memcpy(start, sample, (size_t)sampler->n * sizeof *start);
        memset(sum, 0, (size_t)sampler->n * sizeof *sum);
    }
    const double weight = phase == 0 || phase == 3 ? 1.0 / 6 : 1.0 / 3;
    for (int64_t k = 0; k < sampler->n; k++) {
        const double m = (double)output[k], total = (double)sum[k] + weight * m;
        sum[k] = (float)total;
        sample[k] = apply(c, (double)start[k], phase == 3 ? total : m);
    }
}

/* Call i = 1 repeats the step of call 0 with the mean of both outputs. */
static void step_again(soda_sampler *sampler, const float *output, float *sample)
{
    const double t = sampler->timestep[1];
    const double above = t + sampler_stride(sampler);
    const transfer c = transfer_between(sampler, above, t);
    const float *first = output_of(sampler, 0), *start = kept(sampler, START);
    for (int64_t k = 0; k < sampler->n; k++)
        sample[k] = apply(c, (double)start[k], ((double)output[k] + (double)first[k]) / 2);
}

/* Adams and Bashforth's weights, of as many outputs as there are. */
static void step_plms(soda_sampler *sampler, int i, const float *output, float *sample)
{
    const pndm_state *pndm = sampler->state;
    static const double weights[OUTPUTS][OUTPUTS] = {
        {1},
        {3.0 / 2, -1.0 / 2},
        {23.0 / 12, -16.0 / 12, 5.0 / 12},
        {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24},
    };
    const double t = sampler->timestep[i];
    const double before = t - sampler_stride(sampler);
    const transfer c = transfer_between(sampler, t, before);
    keep_output(sampler, output);
    if (i == 0) memcpy(kept(sampler, START), sample, (size_t)sampler->n * sizeof *sample);
    const int order = pndm->kept < OUTPUTS ? pndm->kept : OUTPUTS;
    for (int64_t k = 0; k < sampler->n; k++) {
        double m = 0;
        for (int age = 0; age < order; age++)
            m += weights[order - 1][age] * (double)output_of(sampler, age)[k];
        sample[k] = apply(c, (double)sample[k], m);
    }
}

static void step(soda_sampler *sampler, int i, const float *output, float *sample)
{
    pndm_state *pndm = sampler->state;
    if (i == 0) pndm->kept = 0;
    if (i < pndm->prk_calls)
        step_prk(sampler, i, output, sample);
    else if (i == 1)
        step_again(sampler, output, sample);
    else
        step_plms(sampler, i, output, sample);
}

const sampler_class sampler_pndm = {
    .spacing = SPACE_LEADING,
    .plan = plan,
    .step = step,
    .history = HISTORY,
    .state_bytes = sizeof(pndm_state),
};
