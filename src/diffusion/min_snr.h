/* min_snr.h: how much the error of an image counts, by its timestep. */
#pragma once

#include "diffusion/schedule.h"

/* Min-SNR weight of timestep t, with snr = a_t / (1 - a_t):     Hang et al., arXiv:2303.09556
 *
 *     epsilon   min(snr, gamma) / snr         (1 where snr = 0: its limit)
 *     v         min(snr, gamma) / (snr + 1)
 *     sample    min(snr, gamma)
 *
 * Of the mean squared error of the whole image: the weights of a batch are not normalised. */
double min_snr_weight(const soda_schedule *schedule, int t, double gamma);
