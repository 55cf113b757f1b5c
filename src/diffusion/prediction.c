#include "diffusion/prediction.h"

#include <math.h>
#include <string.h>

void prediction_target(const soda_schedule *schedule, int t, const float *x0, const float *noise,
                       float *target, int64_t n)
{
    const float a = schedule->alphas_cumprod[t], signal = sqrtf(a), spread = sqrtf(1 - a);
    switch (schedule->prediction) {
    case PREDICT_EPSILON: memcpy(target, noise, (size_t)n * sizeof *target); break;
    case PREDICT_SAMPLE: memcpy(target, x0, (size_t)n * sizeof *target); break;
    case PREDICT_V:
        for (int64_t i = 0; i < n; i++) target[i] = signal * noise[i] - spread * x0[i];
        break;
    }
}
