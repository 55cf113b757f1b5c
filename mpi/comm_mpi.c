#include "comm_mpi.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/pulse.h"

/* Large all-reduces run in pieces that stay in cache: 64 MiB whole takes 190 ms, in 4 MiB
 * pieces 16. */
enum { PIECE_BYTES = 4 << 20, GATHERS_AT_ONCE = 32 };
enum { LOOK_NS = 100000, FIRST_LOOK_NS = 20000, FIRST_LOOKS = 10 };

static int threads = 1;       /* of this rank, once MPI has started */
static bool may_call_at_once; /* several threads, MPI's functions */

/* The first collective that failed here. The other ranks wait in it, or are a collective ahead:
 * there is no agreeing with them any more, so all that come after fail as well, also those of
 * another thread or group. */
static char broken[MPI_MAX_ERROR_STRING + 64];
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_broken; /* and `broken` does not change any more */

static soda_status in_step(void)
{
    return atomic_load(&is_broken) ? FAIL(SODA_ERR_IO, "%s", broken) : SODA_OK;
}

static soda_status checked(int code, const char *what)
{
    if (code == MPI_SUCCESS) return SODA_OK;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    pthread_mutex_lock(&broken_lock);
    if (!atomic_load(&is_broken))
        snprintf(broken, sizeof broken, "MPI: %s failed: %.*s", what, length, text);
    atomic_store(&is_broken, true);
    pthread_mutex_unlock(&broken_lock);
    return in_step();
}

static MPI_Comm of(const soda_comm *comm) { return *(const MPI_Comm *)comm->context; }

typedef struct {
    MPI_Datatype type;
    size_t bytes;
} element;

static soda_status all_reduce(const soda_comm *comm, void *data, int64_t count, element each,
                              MPI_Op op)
{
    const int64_t piece = PIECE_BYTES / (int64_t)each.bytes;
    int code = MPI_SUCCESS;
    TRY(in_step());
    pulse_collective("all-reduce");
    for (int64_t i = 0; i < count && code == MPI_SUCCESS; i += piece) {
        const int n = (int)(count - i < piece ? count - i : piece);
        code = MPI_Allreduce(MPI_IN_PLACE, (char *)data + (size_t)i * each.bytes, n, each.type, op,
                             of(comm));
        pulse_beat();
    }
    pulse_collective(NULL);
    return checked(code, "all-reduce");
}

static soda_status sum_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    return all_reduce(comm, data, count, (element){MPI_INT64_T, sizeof *data}, MPI_SUM);
}

static soda_status sum_f32(soda_comm *comm, float *data, int64_t count)
{
    return all_reduce(comm, data, count, (element){MPI_FLOAT, sizeof *data}, MPI_SUM);
}

static soda_status max_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    return all_reduce(comm, data, count, (element){MPI_INT64_T, sizeof *data}, MPI_MAX);
}

static soda_status broadcast(soda_comm *comm, void *data, size_t bytes, int root)
{
    int code = MPI_SUCCESS;
    TRY(in_step());
    pulse_collective("broadcast");
    for (size_t i = 0; i < bytes && code == MPI_SUCCESS; i += PIECE_BYTES) {
        const int n = (int)(bytes - i < PIECE_BYTES ? bytes - i : PIECE_BYTES);
        code = MPI_Bcast((char *)data + i, n, MPI_BYTE, root, of(comm));
        pulse_beat();
    }
    pulse_collective(NULL);
    return checked(code, "broadcast");
}

enum { GAVE_UP = 1 }; /* the tag of the only messages that are no part of a collective */

/* Empty messages, which need no room: they are sent whether or not anybody ever receives them. */
static void give_up(soda_comm *comm)
{
    for (int r = 0; r < comm->size; r++) {
        MPI_Request request;
        if (r == comm->rank) continue;
        if (MPI_Isend(NULL, 0, MPI_BYTE, r, GAVE_UP, of(comm), &request) == MPI_SUCCESS)
            MPI_Request_free(&request);
    }
}

static bool given_up(soda_comm *comm)
{
    MPI_Status status;
    int main_thread = 0, came = 0;
    MPI_Is_thread_main(&main_thread);
    if (!main_thread ||
        MPI_Iprobe(MPI_ANY_SOURCE, GAVE_UP, of(comm), &came, &status) != MPI_SUCCESS || !came)
        return false;
    MPI_Recv(NULL, 0, MPI_BYTE, status.MPI_SOURCE, GAVE_UP, of(comm), MPI_STATUS_IGNORE);
    comm->failed_rank = status.MPI_SOURCE;
    return true;
}

/* Open MPI allows it from any thread, whatever was asked of MPI_Init_thread. */
static void end_all(soda_comm *comm, int exit_code)
{
    (void)comm;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
}

static soda_status scatter(soda_comm *comm, const void *all, size_t bytes, void *own, int root)
{
    TRY(in_step());
    pulse_collective("scatter");
    const int code =
        MPI_Scatter(all, (int)bytes, MPI_BYTE, own, (int)bytes, MPI_BYTE, root, of(comm));
    pulse_collective(NULL);
    return checked(code, "scatter");
}

/* Open MPI's ranks spin in a collective until it is over, and take the core from the threads that
 * compute: so they look now and then, and more often at first, as barriers and the messages by
 * which a gather begins are soon over. */
static soda_status look_until_done(MPI_Request *requests, int count, const char *what)
{
    for (int looks = 1;; looks++) {
        int over = 0;
        TRY(checked(MPI_Testall(count, requests, &over, MPI_STATUSES_IGNORE), what));
        if (over) return SODA_OK;
        const long pause_ns = looks <= FIRST_LOOKS ? FIRST_LOOK_NS : LOOK_NS;
        nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
    }
}

/* Begins a gather of each of `count` parts; *begun have begun, all of them unless one failed. */
static int begin_gathers(soda_comm *comm, const comm_parts *list, int count, MPI_Request *requests,
                         int *begun)
{
    for (*begun = 0; *begun < count; ++*begun) {
        const comm_parts *parts = &list[*begun];
        const int bytes = (int)parts->bytes;
        const int code = MPI_Iallgather(parts->own, bytes, MPI_BYTE, parts->all, bytes, MPI_BYTE,
                                        of(comm), &requests[*begun]);
        if (code != MPI_SUCCESS) return code;
    }
    return MPI_SUCCESS;
}

/* Several at a time: while one is being agreed on, the network carries the others. Those that have
 * begun read and write the caller's memory until they end, whatever became of the rest. */
static soda_status gather(soda_comm *comm, const comm_parts *list, int count)
{
    MPI_Request requests[GATHERS_AT_ONCE];
    TRY(in_step());
    for (int i = 0; i < count; i += GATHERS_AT_ONCE) {
        const int some = count - i < GATHERS_AT_ONCE ? count - i : GATHERS_AT_ONCE;
        int begun;
        const int code = begin_gathers(comm, &list[i], some, requests, &begun);
        TRY(look_until_done(requests, begun, "gather"));
        TRY(checked(code, "gather"));
    }
    return SODA_OK;
}

static soda_status meet(soda_comm *comm)
{
    MPI_Request request;
    TRY(in_step());
    TRY(checked(MPI_Ibarrier(of(comm), &request), "barrier"));
    return look_until_done(&request, 1, "barrier");
}

int comm_mpi_launched(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return 1;
    return 0;
}

int comm_mpi_launched_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank) return atoi(rank);
    }
    return 0;
}

/* This rank's share of the cores it may use: each core is divided between the ranks of the node
 * that may use it, whether the launcher bound them to cores, to sockets or to nothing. */
static int share_of_cores(MPI_Comm node)
{
    cpu_set_t own;
    int ranks_of[CPU_SETSIZE] = {0};
    double share = 0;
    CPU_ZERO(&own);
    sched_getaffinity(0, sizeof own, &own);
    for (int i = 0; i < CPU_SETSIZE; i++) ranks_of[i] = CPU_ISSET(i, &own) != 0;
    MPI_Allreduce(MPI_IN_PLACE, ranks_of, CPU_SETSIZE, MPI_INT, MPI_SUM, node);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &own)) share += 1.0 / ranks_of[i];
    return share < 1 ? 1 : (int)(share + 1e-6);
}

static soda_status split(soda_comm *comm, int ranks, soda_comm **group);

static void leave(soda_comm *group)
{
    MPI_Comm_free(group->context);
    free(group);
}

/* `comm` becomes the ranks of *group. */
static void describe(soda_comm *comm, MPI_Comm *group)
{
    *comm = (soda_comm){.failed_rank = -1,
                        .sum_i64 = sum_i64,
                        .sum_f32 = sum_f32,
                        .max_i64 = max_i64,
                        .broadcast = broadcast,
                        .scatter = scatter,
                        .gather = gather,
                        .meet = meet,
                        .split = split,
                        .leave = leave,
                        .give_up = give_up,
                        .given_up = given_up,
                        .end_all = end_all,
                        .context = group};
    MPI_Comm_set_errhandler(*group, MPI_ERRORS_RETURN);
    MPI_Comm_rank(*group, &comm->rank);
    MPI_Comm_size(*group, &comm->size);
}

/* Collective over `group`. */
static bool is_one_node(MPI_Comm group)
{
    MPI_Comm node;
    int here = 0, all = 0;
    MPI_Comm_split_type(group, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &here);
    MPI_Comm_size(group, &all);
    MPI_Comm_free(&node);
    return here == all;
}

static soda_status split(soda_comm *comm, int ranks, soda_comm **group)
{
    struct {
        soda_comm comm;
        MPI_Comm group;
    } *made = calloc(1, sizeof *made);
    MPI_Comm own = MPI_COMM_NULL;
    soda_status s =
        checked(MPI_Comm_split(of(comm), comm->rank / ranks, comm->rank, &own), "split");
    const bool near = s == SODA_OK && is_one_node(own);
    *group = NULL;
    if (s == SODA_OK && !may_call_at_once)
        s = FAIL(
            SODA_ERR_UNSUPPORTED,
            "parallel.weights: shard: expected an MPI library that several threads may call at "
            "once (MPI_THREAD_MULTIPLE), found one that refuses");
    if (s == SODA_OK && !made) s = FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s != SODA_OK) {
        if (own != MPI_COMM_NULL) MPI_Comm_free(&own);
        free(made);
        return s;
    }
    made->group = own;
    describe(&made->comm, &made->group);
    made->comm.node = near ? &made->comm : comm_self();
    *group = &made->comm;
    return SODA_OK;
}

static soda_status start(bool several_threads, soda_comm **comm)
{
    static soda_comm world, node;
    static MPI_Comm world_group, node_group;
    int provided = 0;
    signal(SIGPIPE, SIG_IGN); /* of a rank that was lost: the launcher tells how, not this rank */
    /* Open MPI: a rank that waits for another gives its core away in between. */
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    /* Two connections between two ranks: the kernel needs a quarter less time for each byte. */
    setenv("OMPI_MCA_btl_tcp_links", "2", 0);
    TRY(checked(MPI_Init_thread(NULL, NULL,
                                several_threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED,
                                &provided),
                "initialisation"));
    may_call_at_once = several_threads && provided == MPI_THREAD_MULTIPLE;
    world_group = MPI_COMM_WORLD;
    describe(&world, &world_group);
    TRY(checked(
        MPI_Comm_split_type(world_group, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node_group),
        "split"));
    describe(&node, &node_group);
    node.node = world.node = &node;
    threads = share_of_cores(node_group);
    *comm = &world;
    return SODA_OK;
}

soda_status comm_mpi_open(bool several_threads, soda_comm **comm)
{
    pulse_phase("starting MPI", -1);
    pulse_wait("MPI_Init");
    const soda_status s = start(several_threads, comm);
    pulse_wait(NULL);
    pulse_phase("start-up", -1);
    return s;
}

int comm_mpi_threads(void) { return threads; }

const char *comm_mpi_library(void)
{
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    if (MPI_Get_library_version(name, &length) != MPI_SUCCESS) return "MPI";
    name[strcspn(name, ",\n")] = '\0'; /* what follows is about how it was built */
    return name;
}

bool comm_mpi_broken(void) { return atomic_load(&is_broken); }

void comm_mpi_close(void)
{
    int started = 0, ended = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    if (started && !ended) MPI_Finalize();
}
