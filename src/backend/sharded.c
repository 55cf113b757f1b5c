#include <sys/resource.h>

#include "backend/sharded_stores.h"
#include "comm/node_memory.h"

/* Whether addresses are limited: a rank that maps one copy needs them for all of it. */
static bool has_few_addresses(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* Whether each group can share memory; the same answer on all ranks, as their fills must meet. */
static soda_status ask_for_nodes(const soda_device *device, soda_comm *comm, soda_comm *group,
                                 bool *nodes)
{
    int64_t apart = !device->host || group->node->size != group->size || has_few_addresses();
    TRY(comm->max_i64(comm, &apart, 1));
    if (apart == 0) apart = !node_memory_works(group);
    TRY(comm->max_i64(comm, &apart, 1));
    *nodes = apart == 0;
    return SODA_OK;
}

/* `group` is the store's from here on. */
static soda_status create_on_node(soda_device *device, soda_comm *comm, soda_comm *group,
                                  const sharded_options *options, soda_residency **residency)
{
    const soda_status s =
        comm_agree(comm, sharded_node_create(device, comm, group, options, residency));
    if (s == SODA_OK) return SODA_OK;
    residency_close(*residency);
    *residency = NULL;
    return s;
}

soda_status sharded_create(const soda_backend *backend, soda_comm *comm,
                           const sharded_options *options, soda_residency **residency)
{
    soda_comm *group = NULL;
    bool nodes = false;
    *residency = NULL;
    soda_status s = comm_agree(comm, comm->split(comm, options->ranks, &group));
    if (s == SODA_OK) s = ask_for_nodes(backend->device, comm, group, &nodes);
    if (s != SODA_OK) {
        if (group) group->leave(group);
        return s;
    }
    return nodes ? create_on_node(backend->device, comm, group, options, residency)
                 : sharded_ring_create(backend, comm, group, options, residency);
}
