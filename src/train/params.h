/* params.h: the trainable tensors of a run, with gradients and optimizer state, and one step.
 *
 * Flat fp32 arrays, tensor after tensor in the order of the layers (R1, R2, R3, delta of each):
 * what is reduced over ranks, clipped, stepped and stored is one range. */
#pragma once

#include "adapter/layers.h"
#include "optim/adamw.h"
#include "optim/stiefel.h"

typedef struct {
    char *name; /* "unet. ... .to_q.soda.R1" */
    soda_shape shape;
    int64_t offset, count; /* into the arrays below */
    bool rotation;         /* R1, R2, R3; else delta */
} trainable_tensor;

typedef struct {
    trainable_tensor *tensors;
    int count;
    int64_t total;
    float *value;    /* [total] */
    float *gradient; /* [total] of the loss, summed over the global batch */
    float *first;    /* [total] rotation: the skew momentum Y; spectrum: AdamW's m */
    float *second;   /* [total] second moments; stays zero under rotation SGD */
    stiefel_work *work;
    stiefel_f32 *matrices; /* scratch of a step: rotations, largest first */
    double *drift;         /* by matrix */
    int matrix_count;
} soda_trainable;

/* The tensors of `layers` (kept only during the call), at the identity and delta_init. */
soda_status trainable_create(soda_layers *layers, float delta_init, soda_trainable *trainable);
void trainable_destroy(soda_trainable *trainable); /* a zeroed struct is fine */

/* The tensor called `name`, NULL if there is none. */
const trainable_tensor *trainable_find(const soda_trainable *trainable, const char *name);

/* The tensor that holds element `index` of the flat arrays. */
const trainable_tensor *trainable_at(const soda_trainable *trainable, int64_t index);

typedef struct {
    stiefel_options rotation;
    optimizer_adamw spectrum;
    double clip; /* 0: off */
} trainable_options;

typedef struct {
    double gradient_norm; /* before clipping */
    double orthogonality; /* largest ||R'R - I||_F of all factors, after the step */
} trainable_report;

/* Step t = 1, 2, ...: clips the gradients to one norm, then moves every tensor; both learning
 * rates are times lr_factor. Local to a rank: gradients are already summed. SODA_ERR_NUMERIC names
 * the first tensor whose gradient is not finite; nothing has changed then. */
soda_status trainable_step(soda_trainable *trainable, const trainable_options *options, int64_t t,
                           double lr_factor, trainable_report *report);
