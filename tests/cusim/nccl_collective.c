/* NCCL's collectives: nccl_sim.h.
 *
 * A contribution is posted as soon as the stream gets there, so that the GPU of a rank whose host
 * is busy elsewhere goes on; the sum is taken when the stream of the receiver runs (stream.c). Sums
 * have the order of ranks. Ranks that call different collectives, integer sums that overflow, and
 * calls that are not simulated end the program. The collectives of a group give their parts
 * together. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nccl_sim.h"

enum { PATIENCE_S = 10, GROUP = 4096 };

typedef enum { ALL_REDUCE, ALL_GATHER } operation;
static const char *const names[] = {"all-reduce", "all-gather"};

typedef struct { /* of a contribution; the data follow */
    int64_t count;
    int32_t type, operation;
    atomic_int readers; /* that are done */
} header;

typedef struct {
    struct ncclComm *comm;
    operation operation;
    const void *from;
    void *to;
    int64_t count;
    ncclDataType_t type;
    uint64_t number;
    double due_s;
    cudaStream_t stream;
} collective;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double delay_s(int rank)
{
    const char *most_ms = getenv("CUSIM_NCCL_DELAY");
    uint64_t r = 0;
    for (int i = 0; most_ms && i <= rank; i++) r = sim_random();
    return most_ms ? 1e-3 * atof(most_ms) * (double)(r % 1000) / 1000 : 0;
}

static size_t element(ncclDataType_t type)
{
    if (type == ncclInt8) return 1;
    if (type != ncclInt64 && type != ncclFloat32) sim_die("NCCL: type %d is not simulated", type);
    return type == ncclInt64 ? 8 : 4;
}

/* The contribution of rank `rank`. */
static void part_path(const collective *w, int rank, char path[NCCL_PATH])
{
    snprintf(path, NCCL_PATH, "%s/%llu-%d", w->comm->folder, (unsigned long long)w->number, rank);
}

static void post(void *context)
{
    collective *w = *(collective **)context;
    char path[NCCL_PATH];
    const size_t bytes = (size_t)w->count * element(w->type);
    const header head = {
        .count = w->count, .type = (int32_t)w->type, .operation = (int32_t)w->operation};
    w->comm->posted = w->number + 1;
    if (w->comm->aborted || nccl_chosen("CUSIM_NCCL_STALL", w->comm->rank, w->number)) return;
    const void *data = sim_memory_range(w->from, bytes, "NCCL");
    sim_memory_read(w->from, bytes, "NCCL");
    part_path(w, w->comm->rank, path);
    if (!nccl_publish(path, &head, sizeof head, data, bytes))
        sim_die("NCCL: %s: %s", path, strerror(errno));
}

/* Maps what rank `rank` posted; NULL if it has not. */
static header *map_part(const collective *w, int rank, size_t *bytes)
{
    char path[NCCL_PATH];
    struct stat about;
    part_path(w, rank, path);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return NULL;
    header *part = MAP_FAILED;
    if (fstat(file, &about) == 0) {
        *bytes = (size_t)about.st_size;
        part = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    if (part == MAP_FAILED) sim_die("NCCL: %s: %s", path, strerror(errno));
    return part;
}

/* A rank that calls another collective than rank 0 says so; the others wait for ever, as on GPUs.
 */
static bool ready(const void *context)
{
    const collective *w = context;
    if (w->comm->aborted) return true;
    if (now() < w->due_s) return false;
    bool all = true;
    for (int r = 0; r < w->comm->size && all; r++) {
        size_t bytes;
        header *part = map_part(w, r, &bytes);
        all = part && part->count == w->count && part->type == (int32_t)w->type &&
              part->operation == (int32_t)w->operation;
        if (part && !all && r == 0)
            sim_die("NCCL: crossed collectives: number %llu of rank %d is an %s of %lld "
                    "numbers of type %d, of rank 0 an %s of %lld of type %d",
                    (unsigned long long)w->number, w->comm->rank, names[w->operation],
                    (long long)w->count, w->type, names[part->operation], (long long)part->count,
                    part->type);
        if (part) munmap(part, bytes);
    }
    return all;
}

static void add(const collective *w, void *to, const header *part, bool first)
{
    const void *data = part + 1;
    for (int64_t i = 0; i < w->count; i++) {
        if (w->type == ncclFloat32) {
            float *sum = (float *)to + i;
            *sum = first ? ((const float *)data)[i] : *sum + ((const float *)data)[i];
            continue;
        }
        int64_t *sum = (int64_t *)to + i, before = first ? 0 : *sum;
        if (__builtin_add_overflow(before, ((const int64_t *)data)[i], sum))
            sim_die("NCCL: element %lld of a sum overflows", (long long)i);
    }
}

static void finish(void *context)
{
    const collective *w = context;
    struct ncclComm *c = w->comm;
    const bool gathers = w->operation == ALL_GATHER;
    const size_t bytes = (size_t)w->count * element(w->type);
    const size_t whole = gathers ? bytes * (size_t)c->size : bytes;
    for (int r = 0; r < c->size && !c->aborted; r++) {
        size_t mapped;
        char path[NCCL_PATH], *to = sim_memory_range(w->to, whole, "NCCL");
        header *part = map_part(w, r, &mapped);
        if (!part) sim_die("NCCL: a contribution is gone");
        if (gathers)
            memcpy(to + (size_t)r * bytes, part + 1, bytes);
        else
            add(w, to, part, r == 0);
        part_path(w, r, path);
        if (atomic_fetch_add(&part->readers, 1) + 1 == c->size) unlink(path);
        munmap(part, mapped);
    }
    c->late = false;
    if (!c->aborted) sim_memory_written(w->to, whole);
    nccl_release(c);
}

/* Those of the group that is open, or one alone. */
static collective *group[GROUP];
static int group_count, group_depth;

/* Enqueues what was collected; returns when this rank's parts are given, or never will be. */
static void begin_group(void)
{
    const double start_s = now();
    const int count = group_count;
    struct ncclComm *c = count ? group[count - 1]->comm : NULL;
    const uint64_t last = count ? group[count - 1]->number : 0;
    cudaStream_t stream = count ? group[count - 1]->stream : NULL;
    for (int i = 0; i < group_count; i++) {
        collective **posted = sim_alloc(sizeof *posted);
        *posted = group[i];
        sim_enqueue(group[i]->stream, post, posted, "NCCL, send");
    }
    for (int i = 0; i < group_count; i++)
        sim_enqueue_when(group[i]->stream, ready, finish, group[i], names[group[i]->operation]);
    group_count = 0;
    if (!c) return;
    for (sim_stream_advance(stream); c->posted <= last; sim_stream_advance(stream)) {
        nccl_look_for_dead(c);
        c->late = c->late || now() > start_s + PATIENCE_S;
        if (c->state != ncclSuccess || c->late) break;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

/* A stream that stands still, until its communicator is given up. */
static bool given_up(const void *context) { return (*(struct ncclComm *const *)context)->aborted; }
static void go_on(void *context) { nccl_release(*(struct ncclComm **)context); }

static void halt(struct ncclComm *c, cudaStream_t stream)
{
    struct ncclComm **own = sim_alloc(sizeof(struct ncclComm *));
    *own = c;
    c->references++;
    sim_enqueue_when(stream, given_up, go_on, own, "a GPU that stands still");
}

/* Takes a copy of `w`, whose number and time are set here. */
static ncclResult_t begin(collective w)
{
    struct ncclComm *c = w.comm;
    if (!c->joined) sim_die("NCCL: a collective before the communicator is complete");
    if (group_count == GROUP) sim_die("NCCL: a group of more than %d collectives", GROUP);
    if (nccl_fails(c) || sim_fails(SIM_NCCL)) return ncclSystemError;
    w.number = c->collectives++;
    w.due_s = now() + delay_s(c->rank);
    if (nccl_chosen("CUSIM_NCCL_DIE", c->rank, w.number)) raise(SIGKILL);
    collective *own = sim_alloc(sizeof *own);
    *own = w;
    c->references++;
    group[group_count++] = own;
    if (group_depth == 0) begin_group();
    if (nccl_chosen("CUSIM_NCCL_HALT", c->rank, w.number)) halt(c, w.stream);
    return ncclSuccess;
}

/* NCCL declares these without parameters. */
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

ncclResult_t ncclGroupStart(void)
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    if (group_depth == 0) return ncclInvalidUsage;
    if (--group_depth == 0) begin_group();
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
    if (from != to || op != ncclSum) sim_die("NCCL: only sums in place are simulated");
    return begin((collective){.comm = c,
                              .operation = ALL_REDUCE,
                              .from = from,
                              .to = to,
                              .count = (int64_t)count,
                              .type = type,
                              .stream = stream});
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t c, cudaStream_t stream)
{
    return begin((collective){.comm = c,
                              .operation = ALL_GATHER,
                              .from = from,
                              .to = to,
                              .count = (int64_t)count,
                              .type = type,
                              .stream = stream});
}
