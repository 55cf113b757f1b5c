/* residency.h: where frozen weights in their forms are, and when: one store for all networks that
 * share weights. Where each entry has memory of its own for good, there is nothing to wait for;
 * else forms are there from need to done only. */
#pragma once

#include "backend/backend.h"
#include "comm/comm.h"

typedef struct soda_residency soda_residency;

/* Of forms that a group of ranks holds between them: where they are, and what gathering them took
 * so far. */
typedef struct {
    int ranks;          /* that hold them between them */
    size_t whole_bytes; /* of all forms */
    size_t ring_bytes;  /* on each rank, for forms that are present; 0: none are gathered */
    size_t gathered_bytes;
    bool timed;              /* the next two are known: not where nothing waits on the host */
    double gather_s, wait_s; /* seconds that gathering took, and that kernels waited for it */
} residency_report;

struct soda_residency {
    size_t bytes;       /* held on the device */
    int sharers;        /* ranks that hold them together */
    size_t peak_before; /* with several sharers: the most memory that this process had until then */
    bool rebuilds; /* what networks make of weights is not kept either: graph_rebuild_weights */

    /* Set by all ranks once everything they will ever want is there: then a fill is no collective,
     * and what fails in it fails on its rank alone. */
    bool sealed;

    /* Bytes that fill would add. */
    size_t (*missing)(const soda_residency *residency, const soda_weights *weights);

    /* Makes every entry of a network that is not there yet; sources are read now. Collective where
     * ranks share the work or the memory. */
    soda_status (*fill)(soda_residency *residency, soda_weights *weights);

    /* Where use number `use` will find its form: constant, once filled. */
    void *(*address)(const soda_residency *residency, const soda_weights *weights, int use);

    /* Before a run that begins with visit `visit`, then before the first and after the last step of
     * that visit and of each one after it. Nothing waits on the host but where kernels run there.
     * Ranks that hold weights between them do this for the same networks in the same order, to the
     * end of each run, whatever fails. NULL, all of them: the forms are always there. */
    void (*start)(soda_residency *residency, const soda_weights *weights, int visit);
    soda_status (*need)(soda_residency *residency, const soda_weights *weights, int visit);
    void (*done)(soda_residency *residency, const soda_weights *weights, int visit);

    void (*report)(const soda_residency *residency, residency_report *report); /* NULL: nothing */
    void (*close)(soda_residency *residency); /* frees it; between runs */
};

/* Every form in memory of its own on `device`. */
soda_status resident_create(soda_device *device, soda_residency **residency);

/* The same in memory that the ranks of a node share: each makes its part of the forms, all read
 * them. `device` is the host, else SODA_ERR_UNSUPPORTED. A fill is collective over `comm` (which
 * must outlive this) unless nothing is missing; all ranks fill in the same order. */
soda_status resident_create_shared(soda_device *device, soda_comm *comm,
                                   soda_residency **residency);

/* The ring that hides gathering, where the largest visit leaves room in it (docs/cluster.md has the
 * waiting by size; run_config.def names it). */
enum { SHARDED_RING_MIB = 1024 };

/* How a group of ranks holds forms between them. */
typedef struct {
    int ranks;         /* in a group, at least 2; divides the ranks of comm */
    size_t ring_bytes; /* for the forms that are present; 0: enough that gathering can be hidden */
} sharded_options;

/* Each rank of a group keeps an equal part of every large form, or some of them whole (ring.h); the
 * others are put together before they are used in a ring, and let go after: by a thread where the
 * device is the host, else by backend->open_lane, ordered with the kernels by events alone. Where
 * the memory is the host's and every group is on one node and can share memory, the parts are those
 * of one copy instead, which its ranks map. Each form is made by one rank of the group. Collective
 * over `comm`, which must outlive this; so is a fill, unless the store is sealed, or nothing is
 * missing and a network with the same uses was filled before. SODA_ERR_INPUT, on all ranks: the
 * ring is smaller than a visit.
 */
soda_status sharded_create(const soda_backend *backend, soda_comm *comm,
                           const sharded_options *options, soda_residency **residency);

/* What of its bytes, and of `more`, this rank has to answer for. */
static inline size_t residency_share(const soda_residency *residency, size_t more)
{
    return (residency->bytes + more) / (size_t)residency->sharers;
}

/* The most memory that this process had so far; of what it shares with others, its part. */
size_t residency_peak_bytes(const soda_residency *residency);

/* Of stores: writes the entry's form to `form`, host memory; its source is then not needed for now.
 */
soda_status residency_make_form(const weights_entry *entry, void *form);

/* SODA_ERR_INTERNAL unless the form, which is there with `bytes`, has as many in this network. */
soda_status residency_check_form(const weights_entry *entry, size_t bytes);

/* Closes it; accepts NULL. */
void residency_close(soda_residency *residency);
