/* networks.h: all networks of a run: one for each size of latents and each purpose. */
#pragma once

#include "comm/comm.h"
#include "train/step.h"

/* The different sizes of latents of a data set, in the order in which they first appear. */
typedef struct {
    int64_t h, w;
} latent_size;

typedef struct {
    latent_size *list;
    int count;
} latent_sizes;

/* Adds a size unless it is there. */
soda_status latent_sizes_add(latent_sizes *sizes, int64_t h, int64_t w);
void latent_sizes_free(latent_sizes *sizes); /* accepts a zeroed struct */

typedef struct {
    soda_step *list;
    int count;
} step_list;

/* The one for latents of h x w, which must be there; and its place. */
soda_step *step_list_find(const step_list *steps, int64_t h, int64_t w);
int step_list_index(const step_list *steps, int64_t h, int64_t w);

typedef struct {
    step_list trained; /* with adapters and gradients: for data and prior */
    step_list frozen;  /* DCO: the frozen network, for data */
    step_list held;    /* with adapters, forward only, one picture: for the held-out loss */
} soda_networks;

typedef struct {
    const training_model *model;
    const soda_params *params;
    const run_config *config;
    soda_comm *comm;
    latent_sizes data, prior, held; /* the last two may be empty */
    int64_t tokens;                 /* of a text */
    float *image;                   /* DCO: see step_shape */
    size_t limit_bytes;             /* for packed weights and the activations of all networks */
    /* Makes what was planned: step_commit in a run. */
    soda_status (*commit)(soda_step *step, const soda_backend *backend);
} networks_request;

/* Bytes for packed weights and all activations: train.memory_limit, else nine tenths of what the
 * machine has for this rank, less what the process `held` before. */
size_t networks_limit(const run_config *config, size_t machine_bytes, size_t held_bytes);

/* Plans and commits one network after the other: each counts the weights that those before it left
 * to pack. Collective: ranks may share the weights. On failure networks_close frees the rest. */
soda_status networks_open(const networks_request *request, soda_networks *networks);
void networks_close(soda_networks *networks); /* accepts a zeroed struct */

/* The network that draws pictures of `side` x `side` latents under `config`, with adapters or
 * without; planned, not committed. Local. */
soda_status networks_plan_pictures(const training_model *model, const run_config *config,
                                   int64_t side, int64_t tokens, bool adapted, soda_network *net);

/* Activations and scratch of all of them. */
size_t networks_arena_bytes(const soda_networks *networks);
