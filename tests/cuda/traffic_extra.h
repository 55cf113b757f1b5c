/* traffic_extra.h: what training does besides the nodes of a U-Net, at its true sizes, for
 * traffic.c: nodes of VAE and text encoder, and pieces of the update. */
#pragma once

#include "backend/backend.h"
#include "graph/graph.h"

/* The attention of a VAE (one head of 512 columns), an embedding and its gradient. */
soda_status traffic_extra_nodes(soda_dtype dtype, soda_graph **graph);

enum { TRAFFIC_UPDATES = 7 };
extern const char *const traffic_updates[TRAFFIC_UPDATES];

/* Does one of traffic_updates; gradients and parameters are ones. */
soda_status traffic_extra_update(const soda_backend *backend, int which);
