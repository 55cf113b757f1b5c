/* prediction.h: what the model is trained to predict: the noise, v or the image. */
#pragma once

#include "diffusion/schedule.h"

/* target[i] at timestep t, by schedule->prediction: noise[i]; v = sqrt(a_t) noise[i] -
 * sqrt(1 - a_t) x0[i] (Salimans & Ho, arXiv:2202.00512); or x0[i]. In fp32; 0 <= t < train_steps.
 */
void prediction_target(const soda_schedule *schedule, int t, const float *x0, const float *noise,
                       float *target, int64_t n);
