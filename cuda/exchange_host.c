/* exchange_host.c: builds without NCCL: through pinned memory of the host, and MPI. */
#include "backend/exchange_staged.h"
#include "cuda/exchange.h"

soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    return exchange_staged(device, comm, exchange);
}
