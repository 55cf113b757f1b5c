#include "backend/sharded_stores.h"
#include "comm/node_memory.h"

/* Whether each group can share memory; the same answer on all ranks, as their fills must meet. */
static soda_status ask_for_nodes(const soda_device *device, soda_comm *comm, soda_comm *group,
                                 bool *nodes)
{
    int64_t apart = !device->host || group->node->size != group->size;
    TRY(comm->max_i64(comm, &apart, 1));
    if (apart == 0) apart = !node_memory_works(group);
    TRY(comm->max_i64(comm, &apart, 1));
    *nodes = apart == 0;
    return SODA_OK;
}

soda_status sharded_create(const soda_backend *backend, soda_comm *comm,
                           const sharded_options *options, soda_residency **residency)
{
    soda_comm *group;
    bool nodes;
    *residency = NULL;
    TRY(comm_agree(comm, comm->split(comm, options->ranks, &group)));
    TRY(ask_for_nodes(backend->device, comm, group, &nodes));
    if (!nodes) return sharded_ring_create(backend, comm, group, options, residency);
    return comm_agree(comm, sharded_node_create(backend->device, comm, group, options, residency));
}
