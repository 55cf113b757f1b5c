#include "cuda/communicator.h"

#include <stdlib.h>
#include <time.h>

#include "core/pulse.h"

enum { POLL_NS = 50000 };

typedef struct { /* of a collective that is enqueued: done when the GPU has come to it */
    cudaEvent_t event;
    const char *what;
} arrival;

struct communicator {
    ncclComm_t nccl; /* NULL: given up */
    int rank, size;
    soda_comm *comm;  /* of all ranks of the run */
    const char *last; /* the collective that was enqueued last */
    arrival *ring;    /* those ahead of the GPU are [first, first + count), round */
    int first, count, room;
    communicator *next;
};

static communicator *all; /* that are open */

void communicator_give_up(void)
{
    for (communicator *c = all; c; c = c->next) {
        if (c->nccl) (void)ncclCommAbort(c->nccl);
        c->nccl = NULL;
    }
}

void communicator_fail(void)
{
    const communicator *c = all;
    while (c && !c->nccl) c = c->next;
    if (c) c->comm->give_up(c->comm); /* else it has before */
    communicator_give_up();
}

static soda_status failed(const communicator *c, const char *what, ncclResult_t code)
{
    (void)c->comm->given_up(c->comm); /* then it is to blame: comm_agree */
    const soda_status s =
        FAIL(SODA_ERR_IO, "NCCL: %s failed on rank %d of %d: %s: %s", what, c->rank, c->size,
             ncclGetErrorString(code), ncclGetLastError(c->nccl));
    communicator_fail();
    return s;
}

/* Asks whether anything failed that was begun. */
static soda_status check(communicator *c, const char *what, ncclResult_t *state)
{
    const ncclResult_t code = ncclCommGetAsyncError(c->nccl, state);
    if (code != ncclSuccess) return failed(c, what, code);
    if (*state != ncclSuccess && *state != ncclInProgress) return failed(c, what, *state);
    return SODA_OK;
}

static soda_status grow(communicator *c)
{
    const int before = c->room, room = before ? 2 * before : 16;
    arrival *ring = calloc((size_t)room, sizeof *ring);
    if (!ring) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < before; i++) ring[i] = c->ring[(c->first + i) % before];
    free(c->ring);
    c->ring = ring;
    c->first = 0;
    for (; c->room < room; c->room++)
        GPU_TRY(cudaEventCreateWithFlags(&ring[c->room].event, cudaEventDisableTiming));
    return SODA_OK;
}

static soda_status expect(communicator *c, cudaStream_t stream)
{
    if (c->count == c->room) TRY(grow(c));
    arrival *a = &c->ring[(c->first + c->count) % c->room];
    a->what = c->last;
    GPU_TRY(cudaEventRecord(a->event, stream));
    c->count++;
    return SODA_OK;
}

/* Counts the collectives that the GPU has come to. */
static void note_arrivals(communicator *c)
{
    while (c->count > 0 && cudaEventQuery(c->ring[c->first].event) == cudaSuccess) {
        pulse_collective(c->ring[c->first].what);
        c->first = (c->first + 1) % c->room;
        c->count--;
    }
    (void)cudaGetLastError(); /* not ready */
}

/* Of whatever waits for a stream. NCCL need not notice that a rank gave up which is well itself. */
static soda_status watch(void *context)
{
    (void)context;
    for (communicator *c = all; c; c = c->next) {
        ncclResult_t state;
        if (!c->nccl) continue;
        if (c->comm->given_up(c->comm)) {
            communicator_give_up();
            return FAIL(SODA_ERR_IO, "NCCL: rank %d failed", c->comm->failed_rank);
        }
        TRY(check(c, c->last, &state));
        note_arrivals(c);
    }
    return SODA_OK;
}

soda_status communicator_enter(communicator *c, const char *what, cudaStream_t stream,
                               ncclComm_t *nccl)
{
    *nccl = c->nccl;
    if (!c->nccl) return FAIL(SODA_ERR_IO, "NCCL: the communicator was given up");
    c->last = what;
    pulse_wait(what);
    return expect(c, stream);
}

soda_status communicator_finish(communicator *c, ncclResult_t code)
{
    ncclResult_t state = code;
    soda_status s = SODA_OK;
    if (code != ncclSuccess && code != ncclInProgress) s = failed(c, c->last, code);
    while (s == SODA_OK && state == ncclInProgress) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        s = check(c, c->last, &state);
    }
    pulse_wait(NULL);
    return s;
}

void communicator_close(communicator *c)
{
    communicator **at = &all;
    if (!c) return;
    while (*at && *at != c) at = &(*at)->next;
    if (*at) *at = c->next;
    if (!all) gpu_watch(NULL, NULL);
    if (c->nccl) (void)ncclCommAbort(c->nccl);
    for (int i = 0; i < c->room; i++) (void)cudaEventDestroy(c->ring[i].event);
    free(c->ring);
    free(c);
}

/* Local. */
static soda_status create(soda_comm *comm, const soda_comm *group, communicator **made,
                          ncclUniqueId *id)
{
    communicator *c = *made = calloc(1, sizeof *c);
    if (!c) return FAIL(SODA_ERR_MEMORY, "out of memory");
    c->rank = group->rank;
    c->size = group->size;
    c->comm = comm;
    c->last = "ncclCommInitRank";
    if (c->rank != 0) return SODA_OK;
    const ncclResult_t code = ncclGetUniqueId(id);
    return code == ncclSuccess ? SODA_OK : failed(c, "ncclGetUniqueId", code);
}

/* Collective over `comm`. Ranks look together whether NCCL's threads are done, so that one that
 * fails does not leave the others waiting. */
static soda_status join(communicator *c, soda_comm *comm, ncclUniqueId id)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclResult_t state = ncclCommInitRankConfig(&c->nccl, c->size, id, c->rank, &config);
    soda_status s =
        state == ncclSuccess || state == ncclInProgress ? SODA_OK : failed(c, c->last, state);
    for (;;) {
        int64_t waits = s == SODA_OK && state == ncclInProgress;
        TRY(comm_agree_flags(comm, s, &waits, 1));
        if (!waits) return SODA_OK;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        if (state == ncclInProgress) s = check(c, c->last, &state);
    }
}

soda_status communicator_open(soda_comm *comm, soda_comm *group, communicator **made)
{
    ncclUniqueId id = {{0}};
    communicator *c = NULL;
    soda_status s;
    *made = NULL;
    TRY_TO(failed, comm_agree(comm, create(comm, group, &c, &id)));
    TRY_TO(failed, comm_agree(comm, group->broadcast(group, &id, sizeof id, 0)));
    c->next = all;
    all = c;
    TRY_TO(failed, join(c, comm, id));
    gpu_watch(watch, NULL);
    *made = c;
    return SODA_OK;
failed:
    communicator_close(c);
    return s;
}
