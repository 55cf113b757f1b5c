/* exchange_nccl.c: sums between GPUs by NCCL, enqueued on the GPU's stream. */
#include <stdlib.h>

#include "backend/exchange_staged.h"
#include "cuda/communicator.h"
#include "cuda/exchange.h"

typedef struct {
    soda_exchange base;
    communicator *ranks;
    cudaEvent_t summed;
} exchange_nccl;

static cudaEvent_t newest; /* behind sums that no lane has asked for; NULL: none */

bool gpu_summed(cudaEvent_t *event)
{
    *event = newest;
    newest = NULL;
    return *event != NULL;
}

static soda_status queue_sum(exchange_nccl *x, void *data, int64_t count, ncclDataType_t type)
{
    ncclComm_t nccl;
    TRY(communicator_enter(x->ranks, "all-reduce", gpu_stream(), &nccl));
    TRY(communicator_finish(
        x->ranks, ncclAllReduce(data, data, (size_t)count, type, ncclSum, nccl, gpu_stream())));
    GPU_TRY(cudaEventRecord(x->summed, gpu_stream()));
    newest = x->summed;
    return SODA_OK;
}

static soda_status sum(soda_exchange *exchange, void *data, int64_t count, ncclDataType_t type)
{
    const soda_status s = queue_sum((exchange_nccl *)exchange, data, count, type);
    if (s != SODA_OK) communicator_fail();
    return s;
}

static soda_status sum_i64(soda_exchange *exchange, int64_t *data, int64_t count)
{
    return sum(exchange, data, count, ncclInt64);
}

static soda_status sum_f32(soda_exchange *exchange, float *data, int64_t count)
{
    return sum(exchange, data, count, ncclFloat32);
}

static void close_nccl(soda_exchange *exchange)
{
    exchange_nccl *x = (exchange_nccl *)exchange;
    communicator_give_up(); /* all results were read before */
    communicator_close(x->ranks);
    if (x->summed) (void)cudaEventDestroy(x->summed);
    newest = NULL;
    free(x);
}

/* Local. */
static soda_status create(exchange_nccl **made)
{
    exchange_nccl *x = *made = calloc(1, sizeof *x);
    if (!x) return FAIL(SODA_ERR_MEMORY, "out of memory");
    x->base = (soda_exchange){.sum_i64 = sum_i64, .sum_f32 = sum_f32, .close = close_nccl};
    GPU_TRY(cudaEventCreateWithFlags(&x->summed, cudaEventDisableTiming));
    return SODA_OK;
}

soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    exchange_nccl *x = NULL;
    soda_status s;
    *exchange = NULL;
    if (comm->size == 1) return exchange_staged(device, comm, exchange);
    TRY_TO(failed, comm_agree(comm, create(&x)));
    TRY_TO(failed, communicator_open(comm, comm, &x->ranks));
    *exchange = &x->base;
    return SODA_OK;
failed:
    if (x) close_nccl(&x->base);
    return s;
}
