/* network.h: one network, loaded and ready to run: graph, weights and memory. */
#pragma once

#include "exec/exec.h"
#include "interop/merged.h"
#include "model/builder.h"
#include "model/folder.h"

typedef struct {
    folder_weights files;   /* empty if the weights come from elsewhere */
    merged_weights *merged; /* NULL: the files' weights as they are */
    soda_graph *graph;
    soda_residency *residency; /* of the weights in their kernels' forms */
    bool borrowed;             /* it belongs to somebody else */
    soda_exec *exec;
} soda_network;

/* Starts an empty graph with activations of type `dtype`. The caller appends to network->graph,
 * then calls network_ready. Zeroed on failure; network_close accepts a zeroed struct. */
soda_status network_create(soda_dtype dtype, soda_network *network);

/* The same over a store of weights that outlives the network: graphs that share it pack each
 * weight once. */
soda_status network_share(soda_dtype dtype, soda_residency *residency, soda_network *network);

/* The same with the weights of a folder's component, for network_builder; those that `adapters`
 * name have the adapters folded in. NULL: no adapters. */
soda_status network_open(const soda_folder *folder, folder_component component, soda_dtype dtype,
                         const adapter_uses *adapters, soda_network *network);

/* Plans memory, of which nothing is taken yet. `bound`: values that have memory; NULL: none. */
soda_status network_plan(soda_network *network, const soda_backend *backend,
                         const exec_bindings *bound);

/* Packs the weights and takes the memory that was planned. */
soda_status network_commit(soda_network *network, const soda_backend *backend);

/* Both. */
soda_status network_ready(soda_network *network, const soda_backend *backend,
                          const exec_bindings *bound);

void network_close(soda_network *network);

/* A builder that appends to the network, with the folder's weights. */
soda_builder network_builder(const soda_network *network);

/* Pictures between [N,C,H,W], as files hold them, and [N,H,W,C], as graphs do. */
void network_to_nhwc(const float *nchw, int64_t n, int64_t c, int64_t hw, float *nhwc);
void network_to_nchw(const float *nhwc, int64_t n, int64_t c, int64_t hw, float *nchw);
