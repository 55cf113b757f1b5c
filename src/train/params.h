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
} params_tensor;

typedef struct {
    params_tensor *tensors;
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
} soda_params;

/* The tensors of `layers` (kept only during the call), at the identity and delta_init. */
soda_status params_create(soda_layers *layers, float delta_init, soda_params *params);
void params_destroy(soda_params *params); /* a zeroed struct is fine */

/* The tensor called `name`, NULL if there is none. */
const params_tensor *params_find(const soda_params *params, const char *name);

/* The tensor that holds element `index` of the flat arrays. */
const params_tensor *params_at(const soda_params *params, int64_t index);

typedef struct {
    stiefel_options rotation;
    adamw_options spectrum;
    double clip; /* 0: off */
} params_options;

typedef struct {
    double gradient_norm; /* before clipping */
    double orthogonality; /* largest ||R'R - I||_F of all factors, after the step */
} params_report;

/* Step t = 1, 2, ...: clips the gradients to one norm, then moves every tensor; both learning
 * rates are times lr_factor. Local to a rank: gradients are already summed. SODA_ERR_NUMERIC names
 * the first tensor whose gradient is not finite; nothing has changed then. */
soda_status params_step(soda_params *params, const params_options *options, int64_t t,
                        double lr_factor, params_report *report);
