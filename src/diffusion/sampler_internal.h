/* sampler_internal.h: what a sampler defines, sampler_NAME for every row of samplers.def, and what
 * several of them need. */
#pragma once

#include <stdbool.h>

#include "diffusion/sampler.h"
#include "diffusion/schedule.h"

typedef enum { SPACE_LEADING, SPACE_LINSPACE, SPACE_TRAILING } sampler_spacing;

typedef struct {
    sampler_spacing spacing; /* where timestep_spacing is not given */
    /* Reads the keys of the class, then sets calls, timestep and what the step needs. */
    soda_status (*plan)(soda_sampler *sampler, const soda_json *config);
    void (*step)(soda_sampler *sampler, int i, const float *output, float *sample);
    /* What sampler_input_scale gives; NULL: 1. */
    double (*input_scale)(const soda_sampler *sampler, int i);
    int history;        /* samples kept between calls */
    size_t state_bytes; /* of what the sampler keeps besides */
} sampler_class;

#define SAMPLER(name, class_name) extern const sampler_class sampler_##name;
#include "diffusion/samplers.def"
#undef SAMPLER

struct soda_sampler {
    const sampler_class *kind;
    soda_schedule schedule;
    sampler_spacing spacing;
    int offset;       /* steps_offset */
    int steps, calls; /* asked for; calls of the model */
    int next;         /* the call that sampler_step expects */
    int64_t n;
    double *timestep; /* [calls] */
    float *sigma;     /* [calls + 1] Euler and DPM++: sqrt((1 - a) / a), the last one is the goal */
    float init_sigma;
    float *history; /* [kind->history, n] */
    void *state;    /* [kind->state_bytes], zeros before plan */
};

/* ---- sampler_plan.c ---- */

/* Allocates room for `calls` timesteps and, if asked, one more sigmas. */
soda_status sampler_allocate(soda_sampler *sampler, int calls, bool with_sigma);

/* `points` timesteps below `last`, falling, as numpy computes them; returns how many there are. For
 * trailing, `points` - 1 or fewer if they would fall below 0.
 * step     distance of neighbours where the spacing is trailing
 * rounded  to integers (half to even)
 * values   out [points + 1] */
int sampler_space(const soda_sampler *sampler, int points, int last, double step, bool rounded,
                  double *values);

/* sigma[i] at timestep[i] (linear between integers), sigma[calls] by final_sigmas_type; timesteps
 * and sigmas are replaced if use_karras_sigmas. Refuses the other ways to choose sigmas. */
soda_status sampler_plan_sigmas(soda_sampler *sampler, const soda_json *config, bool is_dpmpp,
                                bool *ends_at_zero);

/* SODA_ERR_UNSUPPORTED if a key is true. */
soda_status sampler_refuse_true(const soda_json *config, const char *key);

/* SODA_ERR_USAGE if a timestep lies outside the schedule. */
soda_status sampler_check_timesteps(const soda_sampler *sampler);

/* Training timesteps from one step to the next: a whole number, as in diffusers. */
int sampler_stride(const soda_sampler *sampler);

/* a_t in fp64, final_alpha for t < 0. */
double sampler_alpha(const soda_sampler *sampler, double t, double final_alpha);
