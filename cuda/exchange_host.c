/* exchange_host.c: builds without NCCL: through pinned memory of the host, and MPI. */
#include "backend/exchange_staged.h"
#include "cuda/exchange.h"

soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    return exchange_staged(device, comm, exchange);
}

soda_status gpu_open_lane(soda_device *device, soda_comm *comm, soda_comm *group, soda_lane **lane)
{
    (void)device, (void)comm, (void)group;
    *lane = NULL;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "parallel.weights: shard: this soda was built without NCCL, which gathers weights "
                "between GPUs: use replicate");
}
