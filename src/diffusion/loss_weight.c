#include "diffusion/loss_weight.h"

#include <math.h>

double loss_weight_min_snr(const soda_schedule *schedule, int t, double gamma)
{
    const double snr = schedule_snr(schedule, t), least = fmin(snr, gamma);
    switch (schedule->prediction) {
    case PREDICT_V: return least / (snr + 1);
    case PREDICT_SAMPLE: return least;
    case PREDICT_EPSILON: break;
    }
    return snr > 0 ? least / snr : 1;
}
