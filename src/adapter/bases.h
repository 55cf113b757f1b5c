/* bases.h: the frozen bases of all adapted layers, from the cache or computed, shared by ranks. */
#pragma once

#include "adapter/layers.h"
#include "comm/comm.h"

/* What the layers' bases point into: mapped cache files, or memory where there is no cache. */
typedef struct soda_bases soda_bases;

/* Sets basis[].source.data of every layer (methods without bases: nothing); w0 must hold data. Rank
 * i % size factorises layer i if the cache at `folder` (NULL: array_cache_folder) does not have it
 * and stores it; then all ranks map the files, and what one does not find is sent to it
 * (io/spread_arrays.h). A cache that cannot be written is a warning. Layers are worked on by all
 * OpenMP threads. The result is the same bits on every rank with the same kind of CPU.
 *
 * Collective: all ranks call it with the same layers and the same weights in them (each hashes a
 * part of a node's); all return an error if one does. The result must outlive every graph built
 * from the layers. */
soda_status bases_load(soda_layers *layers, soda_comm *comm, const char *folder,
                       soda_bases **bases);
void bases_destroy(soda_bases *bases); /* accepts NULL */
