/* footprint.h: the memory of one rank of a run, by kind, under one policy for the frozen weights.
 */
#pragma once

#include "plan/outline.h"
#include "plan/shard_model.h"
#include "train/reducer.h"

typedef struct {
    int ranks, per_node;
    run_weights policy;
    shard_layout shard; /* WEIGHTS_SHARD */
    bool on_devices;    /* weights are not in the memory of the host */
} plan_layout;

/* Whether each of the groups of WEIGHTS_SHARD is on one node. */
bool plan_layout_on_nodes(const plan_layout *layout);

/* Whether weights are gathered: WEIGHTS_SHARD, unless the ranks of each group map one copy. */
bool plan_layout_gathers(const plan_layout *layout);

/* Ranks that hold one copy of the frozen weights together. */
int plan_layout_sharers(const plan_layout *layout);

/* Bytes of a rank; what ranks share counts in equal parts. */
typedef struct {
    size_t weights;     /* frozen weights in the forms of the kernels */
    size_t ring;        /* room for gathered ones, if any are */
    size_t prologue;    /* what depends on weights and parameters alone, kept all step */
    size_t activations; /* of all networks, with scratch */
    size_t adapters;    /* parameters, gradients, optimizer state */
    size_t reduction;   /* sums of gradients: limbs if exact */
    size_t data;        /* latents and text states */
    size_t pictures;    /* of networks that draw during the run */
    size_t files;       /* of rank 0 alone: LAPACK and HDF5, for checkpoints and spectra */
    size_t program;     /* the program, its libraries and its lists, measured */
    size_t total;       /* of rank 0 */
} plan_footprint;

/* Bytes of the ranks of rank 0's node. */
size_t footprint_node_bytes(const plan_footprint *footprint, int per_node);

/* `outline` was opened for as many sharers. */
plan_footprint footprint_of(const soda_outline *outline, const plan_layout *layout);
