/* sampler.h: from noise to latents in a few calls of the model, as diffusers 0.42 does it.
 *
 *     for (int i = 0; i < sampler_calls(s); i++) {
 *         model input = sample * sampler_input_scale(s, i), at timestep sampler_timestep(s, i)
 *         sampler_step(s, i, model output, sample)
 *     }
 * The first sample is unit normal noise times sampler_init_sigma(s).
 *
 * The samplers are the rows of samplers.def.
 *
 * Coefficients and each element are computed in fp64 from the fp32 schedule and rounded to fp32
 * once per step; diffusers rounds after every operation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"

typedef struct soda_sampler soda_sampler;

/* config  scheduler_config.json; absent keys take the defaults of the class that is used
 * name    a row of samplers.def, or NULL: the class that the configuration names in _class_name
 * steps   1 to num_train_timesteps (PNDM without skip_prk_steps: 4 or more)
 * n       elements of a sample
 *
 * SODA_ERR_USAGE for a name or a number of steps that is not possible, SODA_ERR_INPUT for a value
 * out of range, SODA_ERR_UNSUPPORTED for a class or option that is not implemented. */
soda_status sampler_create(const soda_json *config, const char *name, int steps, int64_t n,
                           soda_sampler **sampler);

enum {
#define SAMPLER(name, class_name) +1
    SAMPLERS = 0
#include "diffusion/samplers.def"
#undef SAMPLER
};

/* Row `index` of the table, 0 to SAMPLERS - 1; all names, "ddim, euler, ..."; whether a row is the
 * diffusers class `class_name`. */
const char *sampler_name(int index);
const char *sampler_names(void);
bool sampler_knows_class(const char *class_name);

/* Changes `config` as diffusers' StableDiffusionPipeline (not XL) changes what its scheduler was
 * opened with: steps_offset is 1 and clip_sample false, whatever the file says. Where the file
 * does not say, that holds for its own class only: a scheduler made from another's configuration
 * takes the default of its class for keys that were left out. name: as for sampler_create.
 * SODA_ERR_INPUT for values of another type. */
soda_status sampler_pipeline_config(const soda_json *config, const char *name);

/* How often the model is called: steps, or more for PNDM. */
int sampler_calls(const soda_sampler *sampler);

/* The timestep of call i; Euler's may be fractional. */
float sampler_timestep(const soda_sampler *sampler, int i);

/* The standard deviation of the first sample. */
float sampler_init_sigma(const soda_sampler *sampler);

/* What a sample is multiplied by before it enters the model at call i. */
float sampler_input_scale(const soda_sampler *sampler, int i);

/* One step. Calls go i = 0, 1, ...; i = 0 starts again with another sample.
 * output  [n] what the model answered at call i
 * sample  [n] in/out
 * SODA_ERR_INTERNAL if i is not the next call. */
soda_status sampler_step(soda_sampler *sampler, int i, const float *output, float *sample);

/* Accepts NULL. */
void sampler_destroy(soda_sampler *sampler);
