/* gatherer.h: a thread that makes the forms of visits present ahead of their use.
 *
 * It takes the visits of a run in order and begins the next one when the visits whose room in the
 * ring it takes are done. Ranks that gather together run the same visits in the same order, so
 * their threads meet; each rank's kernels may be ahead of the others' by what the ring holds. */
#pragma once

#include "backend/weights.h"

typedef struct soda_gatherer soda_gatherer;

/* Makes the forms of one visit present; on the thread. */
typedef soda_status gatherer_fetch(void *context, const soda_weights *weights, int visit);

soda_status gatherer_create(gatherer_fetch *fetch, void *context, soda_gatherer **gatherer);

/* Begins a run of `weights` from visit `first` on; the last one has ended. */
void gatherer_start(soda_gatherer *gatherer, const soda_weights *weights, int first);

/* Waits until a visit is present. After a failure, also of an earlier visit, that failure. */
soda_status gatherer_need(soda_gatherer *gatherer, int visit);

/* The room of a visit, and of those before it, may be used again. */
void gatherer_done(soda_gatherer *gatherer, int visit);

/* Seconds that gatherer_need waited in all. */
double gatherer_waited_s(const soda_gatherer *gatherer);

void gatherer_destroy(soda_gatherer *gatherer); /* accepts NULL; between runs */
