/* gatherer.h: makes the forms of visits present ahead of their use: on a thread
 * (gatherer_thread.c), or in a lane of the device (gatherer_lane.c).
 *
 * It takes the visits of a run in order and begins the next one when the visits whose room in the
 * ring it takes are done. Ranks that gather together run the same visits in the same order, so
 * their gathers meet; each rank's kernels may be ahead of the others' by what the ring holds. */
#pragma once

#include "backend/lane.h"
#include "backend/weights.h"

typedef struct soda_gatherer soda_gatherer;

struct soda_gatherer {
    /* Makes room for runs of so many visits; between runs. */
    soda_status (*reserve)(soda_gatherer *gatherer, int visits);

    /* Begins a run of `weights` from visit `first` on; the last one has ended. */
    void (*start)(soda_gatherer *gatherer, const soda_weights *weights, int first);

    /* A visit is present for the kernels that are queued from here on. After a failure, also of an
     * earlier visit, that failure. */
    soda_status (*need)(soda_gatherer *gatherer, int visit);

    /* The room of a visit, and of those before it, may be used again. */
    void (*done)(soda_gatherer *gatherer, int visit);

    void (*close)(soda_gatherer *gatherer); /* frees it; between runs */
    double waited_s;                        /* in which need waited, in all */
};

/* Makes the forms of one visit present, or queues that. */
typedef soda_status gatherer_fetch(void *context, const soda_weights *weights, int visit);

/* `fetch` is called on a thread; need waits. */
soda_status gatherer_create_thread(gatherer_fetch *fetch, void *context, soda_gatherer **gatherer);

/* `fetch` queues gathers in `lane`, visit v under mark v; nothing waits on the host. The lane must
 * outlive it. */
soda_status gatherer_create_lane(soda_lane *lane, gatherer_fetch *fetch, void *context,
                                 soda_gatherer **gatherer);
