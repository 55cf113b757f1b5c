#include <stdlib.h>

#include "backend/ring.h"
#include "backend/sharded_stores.h"

typedef struct {
    soda_residency base;
    soda_residency *copy;
    soda_comm *comm, *group;
    size_t ring_wanted;
} sharded_node;

static size_t missing(const soda_residency *base, const soda_weights *weights)
{
    const sharded_node *r = (const sharded_node *)base;
    return r->copy->missing(r->copy, weights);
}

static soda_status fill(soda_residency *base, soda_weights *weights)
{
    sharded_node *r = (sharded_node *)base;
    if (missing(base, weights) == 0) return SODA_OK;
    if (base->sealed)
        return FAIL(SODA_ERR_INTERNAL, "sharded weights: a network that no rank filled before");
    /* There is no ring, but one that would be too small between nodes is refused here, too. */
    TRY(comm_agree(r->comm, ring_check(weights, r->ring_wanted)));
    TRY(comm_agree_after(r->comm, r->group, r->copy->fill(r->copy, weights)));
    base->bytes = r->copy->bytes;
    base->peak_before = r->copy->peak_before;
    return SODA_OK;
}

static void *address(const soda_residency *base, const soda_weights *weights, int use)
{
    const sharded_node *r = (const sharded_node *)base;
    return r->copy->address(r->copy, weights, use);
}

static void report(const soda_residency *base, residency_report *report)
{
    const sharded_node *r = (const sharded_node *)base;
    *report =
        (residency_report){.ranks = r->group->size, .whole_bytes = r->copy->bytes, .timed = true};
}

static void close_node(soda_residency *base)
{
    sharded_node *r = (sharded_node *)base;
    residency_close(r->copy);
    r->group->leave(r->group);
    free(r);
}

soda_status sharded_node_create(soda_device *device, soda_comm *comm, soda_comm *group,
                                const sharded_options *options, soda_residency **residency)
{
    sharded_node *r = calloc(1, sizeof *r);
    *residency = NULL;
    const soda_status s = r ? resident_create_shared(device, group, &r->copy)
                            : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK || !r) {
        free(r);
        group->leave(group);
        return s;
    }
    r->base = (soda_residency){.sharers = group->size,
                               .rebuilds = true,
                               .missing = missing,
                               .fill = fill,
                               .address = address,
                               .report = report,
                               .close = close_node};
    r->comm = comm;
    r->group = group;
    r->ring_wanted = options->ring_bytes;
    *residency = &r->base;
    return SODA_OK;
}
