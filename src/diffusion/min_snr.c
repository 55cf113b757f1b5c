#include "diffusion/min_snr.h"

#include <math.h>

double min_snr_weight(const soda_schedule *schedule, int t, double gamma)
{
    const double snr = schedule_snr(schedule, t), least = fmin(snr, gamma);
    switch (schedule->prediction) {
    case PREDICT_V: return least / (snr + 1);
    case PREDICT_SAMPLE: return least;
    case PREDICT_EPSILON: break;
    }
    return snr > 0 ? least / snr : 1;
}
