/* lane_nccl.c: gathers between the GPUs of a group of ranks by NCCL, in a stream of their own. A
 * mark is two events: recorded in that stream behind a gather, and in the kernels' stream behind
 * the last kernel that reads it. */
#include <stdlib.h>

#include "cuda/communicator.h"
#include "cuda/exchange.h"

typedef struct {
    cudaEvent_t full, done;
} mark;

typedef struct {
    soda_lane base;
    communicator *ranks;
    cudaStream_t stream;
    mark *marks;
    int mark_count;
} lane_nccl;

static cudaError_t open_mark(mark *m)
{
    const cudaError_t code = cudaEventCreateWithFlags(&m->full, cudaEventDisableTiming);
    return code ? code : cudaEventCreateWithFlags(&m->done, cudaEventDisableTiming);
}

static soda_status reserve(soda_lane *lane, int count)
{
    lane_nccl *l = (lane_nccl *)lane;
    if (count <= l->mark_count) return SODA_OK;
    mark *grown = realloc(l->marks, (size_t)count * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    l->marks = grown;
    while (l->mark_count < count) {
        grown[l->mark_count] = (mark){0};
        GPU_TRY(open_mark(&grown[l->mark_count++]));
    }
    return SODA_OK;
}

/* One group: the parts are gathered together. */
static ncclResult_t gather_all(const comm_parts *list, int count, ncclComm_t nccl,
                               cudaStream_t stream)
{
    ncclResult_t code = ncclGroupStart();
    for (int i = 0; i < count && code == ncclSuccess; i++) {
        code = ncclAllGather(list[i].own, list[i].all, list[i].bytes, ncclInt8, nccl, stream);
        if (code == ncclInProgress) code = ncclSuccess; /* of a group: until its end */
    }
    const ncclResult_t end = ncclGroupEnd();
    return code == ncclSuccess ? end : code;
}

static soda_status gather(soda_lane *lane, int number, const comm_parts *list, int count)
{
    lane_nccl *l = (lane_nccl *)lane;
    ncclComm_t nccl;
    cudaEvent_t sums;
    if (gpu_summed(&sums)) GPU_TRY(cudaStreamWaitEvent(l->stream, sums, 0));
    TRY(communicator_enter(l->ranks, "all-gather", l->stream, &nccl));
    TRY(communicator_finish(l->ranks, gather_all(list, count, nccl, l->stream)));
    GPU_TRY(cudaEventRecord(l->marks[number].full, l->stream));
    return SODA_OK;
}

static soda_status need(soda_lane *lane, int number)
{
    GPU_TRY(cudaStreamWaitEvent(gpu_stream(), ((lane_nccl *)lane)->marks[number].full, 0));
    return SODA_OK;
}

static soda_status done(soda_lane *lane, int number)
{
    GPU_TRY(cudaEventRecord(((lane_nccl *)lane)->marks[number].done, gpu_stream()));
    return SODA_OK;
}

static soda_status follow(soda_lane *lane, int number)
{
    const lane_nccl *l = (const lane_nccl *)lane;
    GPU_TRY(cudaStreamWaitEvent(l->stream, l->marks[number].done, 0));
    return SODA_OK;
}

static void give_up(soda_lane *lane)
{
    (void)lane;
    communicator_fail();
}

static void close_lane(soda_lane *lane)
{
    lane_nccl *l = (lane_nccl *)lane;
    communicator_close(l->ranks);
    if (l->stream) (void)cudaStreamSynchronize(l->stream);
    for (int i = 0; i < l->mark_count; i++) {
        if (l->marks[i].full) (void)cudaEventDestroy(l->marks[i].full);
        if (l->marks[i].done) (void)cudaEventDestroy(l->marks[i].done);
    }
    if (l->stream) (void)cudaStreamDestroy(l->stream);
    (void)cudaGetLastError();
    free(l->marks);
    free(l);
}

/* Local. */
static soda_status create(lane_nccl **made)
{
    lane_nccl *l = *made = calloc(1, sizeof *l);
    if (!l) return FAIL(SODA_ERR_MEMORY, "out of memory");
    l->base = (soda_lane){.reserve = reserve,
                          .gather = gather,
                          .need = need,
                          .done = done,
                          .follow = follow,
                          .give_up = give_up,
                          .close = close_lane};
    GPU_TRY(cudaStreamCreateWithFlags(&l->stream, cudaStreamNonBlocking));
    return SODA_OK;
}

soda_status gpu_open_lane(soda_device *device, soda_comm *comm, soda_comm *group, soda_lane **lane)
{
    lane_nccl *l = NULL;
    soda_status s;
    (void)device;
    *lane = NULL;
    TRY_TO(failed, comm_agree(comm, create(&l)));
    TRY_TO(failed, communicator_open(comm, group, &l->ranks));
    *lane = &l->base;
    return SODA_OK;
failed:
    if (l) close_lane(&l->base);
    return s;
}
