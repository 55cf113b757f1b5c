/* schedule.h: how much noise each timestep has. As PyTorch and diffusers 0.42 compute it.
 *
 * A training image x0 at timestep t is  x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise,  where a_t is the
 * product of (1 - beta) up to t.                    Ho, Jain & Abbeel, arXiv:2006.11239 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"

/* What the model was trained to answer: the noise, v = sqrt(a) noise - sqrt(1 - a) x0 (Salimans &
 * Ho, arXiv:2202.00512), or x0. */
typedef enum { PREDICT_EPSILON, PREDICT_V, PREDICT_SAMPLE } soda_prediction;

typedef struct {
    int train_steps;       /* num_train_timesteps: timesteps are 0 to train_steps - 1 */
    float *alphas_cumprod; /* [train_steps] a_t, falling */
    soda_prediction prediction;
    bool zero_snr;  /* rescale_betas_zero_snr: the last a_t is 0 */
    char text[128]; /* the values all this was made of; equal texts mean equal schedules */
} soda_schedule;

/* Reads scheduler_config.json; absent keys take the defaults that all diffusers classes share.
 * SODA_ERR_INPUT for values out of range; SODA_ERR_UNSUPPORTED for trained_betas, for names that
 * are not known, and as schedule_check_class has it. */
soda_status schedule_create(const soda_json *config, soda_schedule *schedule);

/* SODA_ERR_UNSUPPORTED where the `_class_name` of scheduler_config.json is one of diffusers' EDM or
 * flow matching classes. Their noise is not made of betas, and their files hold none: read by
 * schedule_create, such a model would have the noise of DDPM's defaults. */
soda_status schedule_check_class(const soda_json *config);

void schedule_destroy(soda_schedule *schedule);

/* noisy[i] = sqrt(a_t) x0[i] + sqrt(1 - a_t) noise[i], in fp32; 0 <= t < train_steps. */
void schedule_add_noise(const soda_schedule *schedule, int t, const float *x0, const float *noise,
                        float *noisy, int64_t n);

/* Signal to noise ratio a_t / (1 - a_t): the weight of min-SNR (Hang et al., arXiv:2303.09556). */
double schedule_snr(const soda_schedule *schedule, int t);

/* For readers of the same file: the place of the string under `key` among names[0..count), or
 * `missing` if it is absent. SODA_ERR_UNSUPPORTED lists the names. */
soda_status schedule_choose(const soda_json *config, const char *key, const char *const *names,
                            int count, int missing, int *chosen);
