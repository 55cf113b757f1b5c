/* exchange_nccl.c: collectives between GPUs by NCCL 2.14 or newer, enqueued on the GPU's stream.
 *
 * The id of the communicator goes through MPI. The communicator does not block, so that a rank that
 * waits for lost ones can be told: whatever waits for the stream asks NCCL, now and then, whether a
 * collective failed (gpu_watch), and gives up the communicator then. NCCL, User Guide, "Fault
 * Tolerance". */
#include <nccl.h>
#include <stdlib.h>
#include <time.h>

#include "backend/exchange_staged.h"
#include "core/pulse.h"
#include "cuda/exchange.h"
#include "cuda/gpu.h"

enum { POLL_NS = 50000 };

typedef struct {
    soda_exchange base;
    ncclComm_t nccl; /* NULL: given up */
    int rank, size;
    const char *last; /* the collective that was enqueued last */
} exchange_nccl;

static soda_status failed(exchange_nccl *x, const char *what, ncclResult_t code)
{
    const soda_status s =
        FAIL(SODA_ERR_IO, "NCCL: %s failed on rank %d of %d: %s: %s", what, x->rank, x->size,
             ncclGetErrorString(code), ncclGetLastError(x->nccl));
    if (x->nccl) (void)ncclCommAbort(x->nccl); /* ends what the stream still waits for */
    x->nccl = NULL;
    return s;
}

/* Asks whether anything failed that was begun. */
static soda_status check(exchange_nccl *x, const char *what, ncclResult_t *state)
{
    const ncclResult_t code = ncclCommGetAsyncError(x->nccl, state);
    if (code != ncclSuccess) return failed(x, what, code);
    if (*state != ncclSuccess && *state != ncclInProgress) return failed(x, what, *state);
    return SODA_OK;
}

/* Until a call that returned `code` is complete on the host's side. */
static soda_status finish(exchange_nccl *x, const char *what, ncclResult_t code)
{
    ncclResult_t state = code;
    if (code != ncclSuccess && code != ncclInProgress) return failed(x, what, code);
    while (state == ncclInProgress) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        TRY(check(x, what, &state));
    }
    return SODA_OK;
}

/* Of whatever waits for the stream. */
static soda_status watch(void *context)
{
    exchange_nccl *x = context;
    ncclResult_t state;
    return x->nccl ? check(x, x->last, &state) : SODA_OK;
}

static soda_status sum(soda_exchange *exchange, void *data, int64_t count, ncclDataType_t type)
{
    exchange_nccl *x = exchange->context;
    if (!x->nccl) return FAIL(SODA_ERR_IO, "NCCL: the communicator was given up");
    x->last = "all-reduce";
    pulse_collective(x->last);
    const soda_status s = finish(
        x, x->last, ncclAllReduce(data, data, (size_t)count, type, ncclSum, x->nccl, gpu_stream()));
    pulse_collective(NULL);
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

/* Never waits for other ranks: they may be gone. All results were read before. */
static void close_nccl(soda_exchange *exchange)
{
    exchange_nccl *x = exchange->context;
    gpu_watch(NULL, NULL);
    if (x->nccl) (void)ncclCommAbort(x->nccl);
    free(x);
}

/* Local. */
static soda_status create(int rank, int size, exchange_nccl **made, ncclUniqueId *id)
{
    exchange_nccl *x = *made = calloc(1, sizeof *x);
    if (!x) return FAIL(SODA_ERR_MEMORY, "out of memory");
    x->rank = rank;
    x->size = size;
    x->base =
        (soda_exchange){.sum_i64 = sum_i64, .sum_f32 = sum_f32, .close = close_nccl, .context = x};
    if (rank != 0) return SODA_OK;
    const ncclResult_t code = ncclGetUniqueId(id);
    return code == ncclSuccess ? SODA_OK : failed(x, "ncclGetUniqueId", code);
}

/* Collective. Ranks look together whether NCCL's threads are done, so that one that fails does not
 * leave the others waiting. */
static soda_status join(exchange_nccl *x, soda_comm *comm, ncclUniqueId id)
{
    static const char what[] = "ncclCommInitRank";
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t state = ncclCommInitRankConfig(&x->nccl, x->size, id, x->rank, &config);
    soda_status s =
        state == ncclSuccess || state == ncclInProgress ? SODA_OK : failed(x, what, state);
    for (;;) {
        int64_t waits = s == SODA_OK && state == ncclInProgress;
        TRY(comm_agree_flags(comm, s, &waits, 1));
        if (!waits) return SODA_OK;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        if (state == ncclInProgress) s = check(x, what, &state);
    }
}

soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    ncclUniqueId id = {{0}};
    exchange_nccl *x = NULL;
    soda_status s;
    *exchange = NULL;
    if (comm->size == 1) return exchange_staged(device, comm, exchange);
    TRY_TO(failed, comm_agree(comm, create(comm->rank, comm->size, &x, &id)));
    TRY_TO(failed, comm->broadcast(comm, &id, sizeof id, 0));
    TRY_TO(failed, join(x, comm, id));
    gpu_watch(watch, x);
    *exchange = &x->base;
    return SODA_OK;
failed:
    if (x) close_nccl(&x->base);
    return s;
}
