/* trainer_inputs.h: what one run of a network of the trainer is given. */
#pragma once

#include "run/trainer_internal.h"

/* Arrays of `batch` images, one after the other. */
typedef struct {
    int64_t batch, h, w;
    float *sample, *target; /* [batch,h,w,C] */
    float *timestep, *weight;
    float *hidden, *pooled, *time_ids;
    int32_t *ids;
    float *memory;
} trainer_inputs;

soda_status trainer_inputs_create(const dataset_about *about, int64_t batch, int64_t h, int64_t w,
                                  trainer_inputs *inputs);
void trainer_inputs_free(trainer_inputs *inputs);

/* Copies noised latents, targets, timesteps and weights, and SDXL's time_ids, to a network. */
soda_status trainer_write_pictures(const soda_trainer *t, const trainer_inputs *inputs,
                                   const soda_step *step);

/* The same of text number `text[b]` of each image: states, or the ids of the encoders that are in
 * the graph. */
soda_status trainer_write_texts(const soda_trainer *t, const soda_dataset *set, const int64_t *text,
                                trainer_inputs *inputs, const soda_step *step);

/* Micro-batch `micro` of step `step`. */
typedef struct trainer_drawn {
    int64_t step, micro;
    soda_dataset *set;
    dataset_sample *samples; /* [batch] */
    int64_t *text;           /* [batch] of the samples */
    trainer_inputs in;
} trainer_drawn;

/* Draws its noise, timesteps and weights. Nothing but the host's memory is touched. */
soda_status trainer_draw(const soda_trainer *t, int64_t step, int64_t micro, trainer_drawn **drawn);
void trainer_drawn_free(trainer_drawn *drawn); /* accepts NULL */
