/* random_step.h: a step of a U-Net whose weights, bases and inputs are made up: for clocks, and to
 * compare backends. Needs no files. */
#pragma once

#include "train/findings.h"
#include "train/reducer.h"
#include "train/step.h"

typedef struct {
    const soda_unet_config *unet;
    soda_dtype dtype;
    const soda_method *method;   /* NULL: no adapters, the forward pass alone */
    int64_t batch, side, tokens; /* side: of the latents */
    float weights, vectors;      /* standard deviations: see random_weights.h */
    double lr;                   /* of rotations and spectra */
    run_weights policy;
    size_t ring_bytes; /* WEIGHTS_SHARD: as parallel.ring; 0: auto */
} random_step_options;

typedef struct {
    const soda_backend *backend;
    soda_comm *comm;
    soda_folder folder; /* the configuration of the U-Net alone */
    soda_weight_source *source;
    training_model model;
    soda_params params;      /* of a step that trains, as what follows */
    soda_exchange *exchange; /* NULL: nothing is trained */
    soda_reducer reducer;
    soda_findings found;
    params_options rules;
    soda_step step;
    int64_t done; /* steps */
} random_step;

/* Plans the step of this rank of `comm`, whose ranks all do the same with other inputs; nothing
 * large is allocated. Collective: all ranks fail or none. */
soda_status random_step_plan(const random_step_options *options, const soda_backend *backend,
                             soda_comm *comm, random_step *step);

/* Makes what was planned, and the inputs. Collective. */
soda_status random_step_commit(random_step *step);

typedef struct {
    double network_s, reduce_s, update_s, all_s; /* on the device */
} random_step_times;

/* Runs the network; if it trains, adds up the gradients of all ranks and steps. Waits. Collective.
 */
soda_status random_step_run(random_step *step, random_step_times *times);

void random_step_close(random_step *step); /* accepts a zeroed struct */
