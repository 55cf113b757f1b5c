/* step.h: the network of a step for one shape of micro-batch: prediction, loss and gradients.
 *
 * inputs    sample [N,h,w,C], timestep [N], target [N,h,w,C], weight [N];
 *           encoder_hidden_states [N,T,width], or input_ids of the encoders: see clip.h;
 *           SDXL: time_ids [N,6], and text_embeds [N,D] unless the encoders are in the graph;
 *           DCO with gradients: reference [N], the frozen network's image errors
 * outputs   prediction [N,h,w,C], loss [1], and without gradients image [N]: each image's error
 *
 * Params, gradients and the loss of an adapted step with gradients lie in the arrays of params.h:
 * call exec_params_changed after each change of values. */
#pragma once

#include "pipeline/network.h"
#include "train/params.h"
#include "train/training_model.h"

typedef struct {
    int64_t batch, h, w, tokens;
    bool adapted;   /* with the adapters, else the frozen network */
    bool gradients; /* of every trainable tensor; needs adapted */
    run_loss loss;
    double dco_beta;
    float *image; /* DCO: memory on the device, [batch], for image errors: the frozen network
                     writes it, the other one reads it; NULL: memory of its own */
    run_recompute recompute; /* of activations in the backward pass; changes no bit */
    size_t limit_bytes;      /* RECOMPUTE_AUTO: for packed weights, and the activations of this */
    int networks;            /* and so many networks of its size in all; 0 counts as 1 */
} step_shape;

/* Of the network that `config` trains, and of DCO's frozen one; h and w are still to be set. */
step_shape step_shape_trained(const run_config *config, int64_t batch, int64_t tokens,
                              float *image);
step_shape step_shape_frozen(int64_t batch, int64_t tokens, float *image);

typedef struct {
    soda_network net;
    step_shape shape;
    int recomputed, segments; /* how many of the network's segments are run twice */
} soda_step;

/* Builds the network and plans its memory, of which nothing is taken yet. A limit that cannot be
 * met is SODA_ERR_MEMORY, with what would be needed. Local. */
soda_status step_plan(const training_model *model, const soda_params *params,
                      const step_shape *shape, soda_step *step);

/* Packs the weights that the model's store lacks, and takes the memory that was planned: collective
 * where ranks share the store. */
soda_status step_commit(soda_step *step, const soda_backend *backend);

/* Both. */
soda_status step_open(const training_model *model, const soda_params *params,
                      const step_shape *shape, soda_step *step);
void step_close(soda_step *step); /* accepts a zeroed struct */
