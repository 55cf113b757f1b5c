#include "diffusion/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

soda_status schedule_choose(const soda_json *config, const char *key, const char *const *names,
                            int count, int missing, int *chosen)
{
    const char *text;
    char list[160] = "";
    *chosen = missing;
    TRY(soda_json_string(config, key, names[missing], &text));
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *chosen = i;
            return SODA_OK;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: expected %s%s, found \"%s\"", config->file, key,
                count > 1 ? "one of " : "", list, text);
}

/* ---- betas ---- */

/* torch.linspace in fp32: from both ends to the middle, product and sum rounded once. */
static void linspace(float *x, int n, double start, double end)
{
    const float first = (float)start, last = (float)end;
    const float step = n > 1 ? (last - first) / (float)(n - 1) : 0;
    for (int i = 0; i < n; i++)
        x[i] = i < n / 2 || n == 1 ? fmaf(step, (float)i, first)
                                   : fmaf(-step, (float)(n - 1 - i), last);
}

/* Nichol & Dhariwal, arXiv:2102.09672, eq. 17 */
static double cosine_bar(double t)
{
    const double half_pi = 1.5707963267948966192;
    return pow(cos((t + 0.008) / 1.008 * half_pi), 2);
}

static void fill_betas(float *beta, int n, int kind, double start, double end)
{
    enum { LINEAR, SCALED_LINEAR };
    if (kind == LINEAR) {
        linspace(beta, n, start, end);
    } else if (kind == SCALED_LINEAR) {
        linspace(beta, n, sqrt(start), sqrt(end));
        for (int i = 0; i < n; i++) beta[i] *= beta[i];
    } else {
        for (int i = 0; i < n; i++)
            beta[i] = (float)fmin(1 - cosine_bar((i + 1.0) / n) / cosine_bar((double)i / n), 0.999);
    }
}

/* torch.cumprod of 1 - beta: fp32 factors, fp64 product, rounded at each place. */
static void fill_cumprod(float *bar, const float *beta, int n)
{
    double product = 1;
    for (int i = 0; i < n; i++) {
        product *= (double)(1.0f - beta[i]);
        bar[i] = (float)product;
    }
}

/* Moves and stretches sqrt(a) so that its last value is 0 and its first stays.
 *                                                   Lin et al., arXiv:2305.08891, algorithm 1 */
static void rescale_to_zero_snr(float *beta, float *bar, int n)
{
    fill_cumprod(bar, beta, n);
    const float first = sqrtf(bar[0]), last = sqrtf(bar[n - 1]);
    for (int i = 0; i < n; i++) {
        const float root = (sqrtf(bar[i]) - last) * (first / (first - last));
        bar[i] = root * root;
    }
    for (int i = 0; i < n; i++) beta[i] = 1.0f - (i ? bar[i] / bar[i - 1] : bar[0]);
}

/* Samplers divide by a and by 1 - a; fp32 holds (1 - a) / a as long as a is above 1e-30. */
static soda_status check_levels(const soda_json *config, const soda_schedule *schedule)
{
    const int last = schedule->train_steps - (schedule->zero_snr ? 2 : 1);
    for (int t = 0; t <= last; t++) {
        const float a = schedule->alphas_cumprod[t];
        if (a < 1 && a > 1e-30f) continue;
        return FAIL(SODA_ERR_INPUT,
                    "%s: beta_start, beta_end: expected signal and noise at each of %d timesteps, "
                    "found a signal of %g at %d",
                    config->file, schedule->train_steps, (double)a, t);
    }
    return SODA_OK;
}

soda_status schedule_check_class(const soda_json *config)
{
    static const char *const without_betas[] = {"EDM", "FlowMatch"};
    const char *name;
    TRY(soda_json_string(config, "_class_name", "", &name));
    for (size_t i = 0; i < sizeof without_betas / sizeof *without_betas; i++)
        if (!strncmp(name, without_betas[i], strlen(without_betas[i])))
            return FAIL(SODA_ERR_UNSUPPORTED,
                        "%s: _class_name: expected a scheduler whose noise has betas, found %s",
                        config->file, name);
    return SODA_OK;
}

soda_status schedule_create(const soda_json *config, soda_schedule *schedule)
{
    static const char *const kinds[] = {"linear", "scaled_linear", "squaredcos_cap_v2"};
    static const char *const predictions[] = {"epsilon", "v_prediction", "sample"};
    int64_t steps;
    double start, end;
    int kind, prediction;
    bool zero_snr;
    TRY(schedule_check_class(config));
    if (soda_json_has(config, "trained_betas") && !soda_json_is_null(config, "trained_betas"))
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: trained_betas: expected null", config->file);
    TRY(soda_json_int(config, "num_train_timesteps", 1000, &steps));
    if (steps < 2 || steps > 100000)
        return soda_json_refuse(config, "num_train_timesteps", "2 to 100000");
    TRY(soda_json_double(config, "beta_start", 0.0001, &start));
    TRY(soda_json_double(config, "beta_end", 0.02, &end));
    if (!(start > 0 && start < 1))
        return soda_json_refuse(config, "beta_start", "above 0, below 1");
    if (!(end > 0 && end < 1)) return soda_json_refuse(config, "beta_end", "above 0, below 1");
    TRY(schedule_choose(config, "beta_schedule", kinds, 3, 0, &kind));
    TRY(schedule_choose(config, "prediction_type", predictions, 3, 0, &prediction));
    TRY(soda_json_bool(config, "rescale_betas_zero_snr", false, &zero_snr));
    const int n = (int)steps;
    float *beta = malloc((size_t)n * sizeof *beta), *bar = malloc((size_t)n * sizeof *bar);
    if (!beta || !bar) {
        free(beta);
        free(bar);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", config->file);
    }
    fill_betas(beta, n, kind, start, end);
    if (zero_snr) rescale_to_zero_snr(beta, bar, n);
    fill_cumprod(bar, beta, n);
    free(beta);
    *schedule = (soda_schedule){n, bar, (soda_prediction)prediction, zero_snr, ""};
    snprintf(schedule->text, sizeof schedule->text, "%s betas of %.9g to %.9g, %d timesteps, %s%s",
             kinds[kind], start, end, n, predictions[prediction], zero_snr ? ", zero SNR" : "");
    const soda_status s = check_levels(config, schedule);
    if (s != SODA_OK) schedule_destroy(schedule);
    return s;
}

void schedule_destroy(soda_schedule *schedule)
{
    free(schedule->alphas_cumprod);
    schedule->alphas_cumprod = NULL;
}

/* ---- training ---- */

void schedule_add_noise(const soda_schedule *schedule, int t, const float *x0, const float *noise,
                        float *noisy, int64_t n)
{
    const float a = schedule->alphas_cumprod[t], signal = sqrtf(a), spread = sqrtf(1 - a);
    for (int64_t i = 0; i < n; i++) noisy[i] = signal * x0[i] + spread * noise[i];
}

double schedule_snr(const soda_schedule *schedule, int t)
{
    const double a = (double)schedule->alphas_cumprod[t];
    return a / (1 - a);
}
