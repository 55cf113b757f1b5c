/* noising.h: makes the noisy latents that the network sees and the target it should predict. */
#pragma once

#include <stdint.h>

#include "diffusion/schedule.h"

typedef struct {
    const soda_schedule *schedule;
    double scaling_factor; /* of the VAE */
    double min_snr_gamma;  /* 0: off */
    uint64_t seed;
} noising_rules;

/* Where a drawn image goes: sample and target [count], channels-last; timestep and weight [1]. */
typedef struct {
    float *sample, *target, *timestep, *weight;
} noising_place;

/* One image: x0 = scaling_factor (mean + std e); sample = sqrt(a_t) x0 + sqrt(1 - a_t) noise;
 * target as the schedule's prediction_type says; weight = min-SNR's. e, noise and t are functions
 * of (seed, number), number being the sample's place in the run.
 *
 * mean and std [count], channels-last. */
void noising_draw(const noising_rules *rules, uint64_t number, const float *mean, const float *std,
                  int64_t count, noising_place to);

/* The same for the held-out loss: the timestep is given, x0 is the posterior's mean, and the noise
 * is a function of (seed, number) apart from those above; weight = 1. */
void noising_held_out(const noising_rules *rules, uint64_t number, int t, const float *mean,
                      int64_t count, float *sample, float *target);
