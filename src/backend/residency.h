/* residency.h: where frozen weights in their forms are, and when: one store for all networks that
 * share weights. Where each entry has memory of its own for good, there is nothing to wait for. */
#pragma once

#include "backend/device.h"
#include "backend/weights.h"
#include "comm/comm.h"

typedef struct soda_residency soda_residency;

struct soda_residency {
    size_t bytes; /* held on the device */
    int sharers;  /* ranks that hold them together */

    /* Bytes that fill would add. */
    size_t (*missing)(const soda_residency *residency, const soda_weights *weights);

    /* Makes every entry of a network that is not there yet; sources are read now. Collective where
     * ranks share the work or the memory. */
    soda_status (*fill)(soda_residency *residency, const soda_weights *weights);

    /* Where use number `use` will find its form: constant, once filled. */
    void *(*address)(const soda_residency *residency, const soda_weights *weights, int use);

    /* Before the first and after the last step of a visit, in the order of the visits of each run.
     * NULL: the forms are always there. */
    soda_status (*need)(soda_residency *residency, const soda_weights *weights, int visit);
    void (*done)(soda_residency *residency, const soda_weights *weights, int visit);

    void (*close)(soda_residency *residency); /* frees it */
};

/* Every form in memory of its own on `device`. */
soda_status resident_create(soda_device *device, soda_residency **residency);

/* The same in memory that the ranks of a node share: each makes its part of the forms, all read
 * them. `device` is the host, else SODA_ERR_UNSUPPORTED. A fill is collective over `comm` (which
 * must outlive this) unless nothing is missing; all ranks fill in the same order. */
soda_status resident_create_shared(soda_device *device, soda_comm *comm,
                                   soda_residency **residency);

/* What of its bytes, and of `more`, this rank has to answer for. */
static inline size_t residency_share(const soda_residency *residency, size_t more)
{
    return (residency->bytes + more) / (size_t)residency->sharers;
}

/* Closes it; accepts NULL. */
void residency_close(soda_residency *residency);
