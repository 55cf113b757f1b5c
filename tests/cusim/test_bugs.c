/* Seeded defects, in kernels (bugs.cu) and in host code: each must be caught by the check meant for
 * it. */
#include <cuda_runtime_api.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 512, BYTES = N * 4, CAUGHT = 86, REFUSED = 4, WRONG = 3 };

cudaError_t launch_bug(int bug, float *x, float *y, void *pointers, cudaStream_t s);

typedef struct {
    float host[N], result[N], *x, *y, *pinned;
    void *pointers;
    cudaStream_t stream, other;
} scene;

static void set(scene *s)
{
    static float on_host[N];
    const float *list[1] = {on_host};
    for (int i = 0; i < N; i++) s->host[i] = (float)(i % 17) - 3;
    cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&s->other, cudaStreamNonBlocking);
    cudaMalloc((void **)&s->x, BYTES);
    cudaMalloc((void **)&s->y, BYTES);
    cudaMalloc(&s->pointers, sizeof list);
    cudaMallocHost((void **)&s->pinned, BYTES);
    cudaMemcpyAsync(s->x, s->host, BYTES, cudaMemcpyHostToDevice, s->stream);
    cudaMemsetAsync(s->y, 0, BYTES, s->stream);
    cudaMemcpyAsync(s->pointers, list, sizeof list, cudaMemcpyHostToDevice, s->stream);
}

static int kernel_bug(scene *s, int bug)
{
    if (launch_bug(bug, s->x, s->y, s->pointers, s->stream)) return REFUSED;
    cudaMemcpyAsync(s->result, s->y, BYTES, cudaMemcpyDeviceToHost, s->stream);
    return cudaStreamSynchronize(s->stream) ? REFUSED : 0;
}

/* ---- defects of host code ---- */
static int touch_device(scene *s)
{
    s->x[1] = 1;
    return 0;
}
static int use_after_free(scene *s)
{
    cudaStreamSynchronize(s->stream);
    cudaFree(s->x);
    return kernel_bug(s, 0);
}
static int read_without_waiting(scene *s)
{
    memset(s->pinned, 0, BYTES);
    launch_bug(0, s->x, s->y, NULL, s->stream);
    cudaMemcpyAsync(s->pinned, s->y, BYTES, cudaMemcpyDeviceToHost, s->stream);
    return s->pinned[0] == s->host[127] ? 0 : WRONG;
}
static int reuse_staging(scene *s)
{
    for (int i = 0; i < N; i++) s->pinned[i] = 1;
    cudaMemcpyAsync(s->x, s->pinned, BYTES, cudaMemcpyHostToDevice, s->stream);
    for (int i = 0; i < N; i++) s->pinned[i] = 2;
    cudaMemcpyAsync(s->result, s->x, BYTES, cudaMemcpyDeviceToHost, s->stream);
    cudaStreamSynchronize(s->stream);
    return s->result[0] == 1 ? 0 : WRONG;
}
typedef enum { NO_EVENT, EVENT, EVENT_TOO_EARLY, EVENT_NOT_RECORDED } event_use;
static int copy_in_other_stream(scene *s, event_use how)
{
    cudaEvent_t e;
    cudaEventCreateWithFlags(&e, cudaEventDisableTiming);
    cudaStreamSynchronize(s->stream);
    if (how == EVENT_TOO_EARLY) cudaEventRecord(e, s->stream);
    launch_bug(0, s->x, s->y, NULL, s->stream);
    if (how == EVENT) cudaEventRecord(e, s->stream);
    if (how != NO_EVENT) cudaStreamWaitEvent(s->other, e, 0);
    cudaMemcpyAsync(s->pinned, s->y, BYTES, cudaMemcpyDeviceToHost, s->other);
    cudaDeviceSynchronize();
    return s->pinned[0] == s->host[127] ? 0 : WRONG;
}
static int missing_event(scene *s) { return copy_in_other_stream(s, NO_EVENT); }
static int with_event(scene *s) { return copy_in_other_stream(s, EVENT); }
static int event_too_early(scene *s) { return copy_in_other_stream(s, EVENT_TOO_EARLY); }
static int event_not_recorded(scene *s) { return copy_in_other_stream(s, EVENT_NOT_RECORDED); }

/* The other stream gathers into x twice; the kernel reads x in between. */
static int gather_twice(scene *s, bool wait_for_gather, bool wait_for_reader)
{
    cudaEvent_t there, freed;
    cudaEventCreateWithFlags(&there, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&freed, cudaEventDisableTiming);
    cudaStreamSynchronize(s->stream);
    cudaMemsetAsync(s->x, 1, BYTES, s->other);
    cudaEventRecord(there, s->other);
    if (wait_for_gather) cudaStreamWaitEvent(s->stream, there, 0);
    launch_bug(0, s->x, s->y, NULL, s->stream);
    cudaEventRecord(freed, s->stream);
    if (wait_for_reader) cudaStreamWaitEvent(s->other, freed, 0);
    cudaMemsetAsync(s->x, 0, BYTES, s->other);
    cudaDeviceSynchronize();
    return 0;
}
static int gather_in_turn(scene *s) { return gather_twice(s, true, true); }
static int gather_read_early(scene *s) { return gather_twice(s, false, true); }
static int gather_overtaken(scene *s) { return gather_twice(s, true, false); }

static int two_writers(scene *s)
{
    cudaMemsetAsync(s->y, 0, BYTES, s->stream);
    cudaMemsetAsync(s->y, 0, BYTES, s->other);
    return (int)cudaDeviceSynchronize();
}
static int copy_too_long(scene *s)
{
    static float big[2 * N];
    cudaMemcpyAsync(s->x, big, BYTES + 4, cudaMemcpyHostToDevice, s->stream);
    return 0;
}
static int read_unwritten(scene *s)
{
    float *fresh;
    cudaMalloc((void **)&fresh, BYTES);
    launch_bug(0, fresh, s->y, NULL, s->stream);
    return cudaStreamSynchronize(s->stream);
}
static int copy_unwritten(scene *s)
{
    float *fresh;
    cudaMalloc((void **)&fresh, BYTES);
    return (int)cudaMemcpy(s->result, fresh, BYTES, cudaMemcpyDeviceToHost);
}
static int wrong_direction(scene *s)
{
    return cudaMemcpyAsync(s->x, s->y, BYTES, cudaMemcpyHostToDevice, s->stream) ? REFUSED : 0;
}
static int free_twice(scene *s) { return cudaFree(s->x) || cudaFree(s->x) ? REFUSED : 0; }
static cudaGraphExec_t captured(scene *s, int bug, float *x)
{
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    cudaStreamSynchronize(s->stream);
    cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal);
    launch_bug(bug, x, s->y, NULL, s->stream);
    cudaStreamEndCapture(s->stream, &graph);
    cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    return executable;
}
static int graph_replay(scene *s)
{
    const cudaGraphExec_t graph = captured(s, 0, s->x);
    cudaGraphLaunch(graph, s->stream);
    cudaGraphLaunch(graph, s->stream);
    cudaMemcpyAsync(s->result, s->y, BYTES, cudaMemcpyDeviceToHost, s->stream);
    cudaStreamSynchronize(s->stream);
    cudaGraphExecDestroy(graph);
    return s->result[0] == s->host[127] ? 0 : WRONG;
}
static int stale_graph(scene *s)
{
    const cudaGraphExec_t graph = captured(s, 0, s->x);
    cudaFree(s->x);
    cudaGraphLaunch(graph, s->stream);
    return (int)cudaStreamSynchronize(s->stream);
}
/* Step k multiplies by k, which is an argument of the kernel: a graph keeps that of its capture. */
static int third_step(scene *s, bool recorded)
{
    const cudaGraphExec_t graph = recorded ? captured(s, 23, s->x) : NULL;
    for (int k = 0; k < 3; k++)
        if (recorded)
            cudaGraphLaunch(graph, s->stream);
        else
            launch_bug(23, s->x, s->y, NULL, s->stream);
    cudaMemcpyAsync(s->result, s->y, BYTES, cudaMemcpyDeviceToHost, s->stream);
    cudaStreamSynchronize(s->stream);
    return s->result[0] == 3 * s->host[0] ? 0 : WRONG;
}
static int step_number(scene *s) { return third_step(s, false); }
static int step_number_in_a_graph(scene *s) { return third_step(s, true); }

/* A graph of two branches: the kernel writes y, a copy of y in the other branch. */
static int branches(scene *s, bool ordered, bool joined)
{
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    cudaEvent_t fork, join;
    cudaEventCreateWithFlags(&fork, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&join, cudaEventDisableTiming);
    cudaStreamSynchronize(s->stream);
    cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal);
    if (!ordered) cudaEventRecord(fork, s->stream);
    launch_bug(0, s->x, s->y, NULL, s->stream);
    if (ordered) cudaEventRecord(fork, s->stream);
    cudaStreamWaitEvent(s->other, fork, 0);
    cudaMemcpyAsync(s->x, s->y, BYTES, cudaMemcpyDeviceToDevice, s->other);
    cudaEventRecord(join, s->other);
    if (joined) cudaStreamWaitEvent(s->stream, join, 0);
    if (cudaStreamEndCapture(s->stream, &graph)) return REFUSED;
    cudaGraphInstantiate(&executable, graph, 0);
    for (int k = 0; k < 2; k++) cudaGraphLaunch(executable, s->stream);
    cudaMemcpyAsync(s->result, s->x, BYTES, cudaMemcpyDeviceToHost, s->stream);
    return s->result[0] == s->host[0] ? 0 : WRONG;
}
static int branches_in_order(scene *s) { return branches(s, true, true); }
static int branches_unordered(scene *s) { return branches(s, false, true); }
static int branch_not_joined(scene *s) { return branches(s, true, false); }
static int wait_while_capturing(scene *s)
{
    cudaStreamSynchronize(s->stream);
    cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal);
    return cudaStreamSynchronize(s->stream) ? REFUSED : 0;
}

typedef struct {
    const char *name;
    int bug, code;        /* bug: of bugs.cu, or */
    int (*host)(scene *); /* in host code */
    const char *message;  /* part of it; NULL: none */
} defect;

static const defect defects[] = {
    {"correct", 0, 0, NULL, NULL},
    {"missing barrier", 1, CAUGHT, NULL, "data race on shared memory"},
    {"past the end", 2, CAUGHT, NULL, "out of bounds: offset 2048 of allocation"},
    {"past a shared array", 3, CAUGHT, NULL, "out of bounds of shared memory, offset 256"},
    {"unwritten shared", 4, CAUGHT, NULL, "read of uninitialised shared memory"},
    {"barrier in a branch", 5, CAUGHT, NULL, "64 of 128 threads wait at a barrier"},
    {"return before barrier", 6, CAUGHT, NULL, "28 have returned"},
    {"missing __syncwarp", 7, CAUGHT, NULL, "data race on shared memory"},
    {"shuffle from outside", 8, CAUGHT, NULL, "which does not take part"},
    {"shuffle in a branch", 9, CAUGHT, NULL, "at a warp operation"},
    {"race of blocks", 10, CAUGHT, NULL, "data race on global memory"},
    {"sum without atomics", 11, CAUGHT, NULL, "data race on global memory"},
    {"misaligned vector", 12, CAUGHT, NULL, "misaligned 16-byte access"},
    {"buffer reused", 13, CAUGHT, NULL, "data race on shared memory"},
    {"host pointer", 14, CAUGHT, NULL, "neither device nor shared memory"},
    {"cp.async read early", 15, CAUGHT, NULL, "read of uninitialised shared memory"},
    {"cp.async without commit", 16, CAUGHT, NULL, "read of uninitialised shared memory"},
    {"cp.async without barrier", 17, CAUGHT, NULL, "shared memory"},
    {"bytes of one word", 18, 0, NULL, NULL},
    {"past dynamic shared", 19, CAUGHT, NULL, "out of bounds of dynamic shared memory"},
    {"too much shared", 20, REFUSED, NULL, NULL},
    {"too many threads", 21, REFUSED, NULL, NULL},
    {"above the launch bound", 22, REFUSED, NULL, NULL},
    {"host touches device memory", 0, CAUGHT, touch_device,
     "host code touched device memory: offset 4"},
    {"use after free", 0, CAUGHT, use_after_free, "use of freed allocation"},
    {"read without waiting", 0, CAUGHT, read_without_waiting,
     "host code reads pinned memory that a copy writes"},
    {"staging reused", 0, CAUGHT, reuse_staging,
     "host code writes pinned memory that a copy reads"},
    {"with event", 0, 0, with_event, NULL},
    {"missing event", 0, CAUGHT, missing_event, "no event orders two streams"},
    {"event recorded too early", 0, CAUGHT, event_too_early, "no event orders two streams"},
    {"event never recorded", 0, CAUGHT, event_not_recorded, "no event orders two streams"},
    {"gathers in turn", 0, 0, gather_in_turn, NULL},
    {"gather read early", 0, CAUGHT, gather_read_early, "no event orders two streams"},
    {"gather overtaken", 0, CAUGHT, gather_overtaken, "no event orders two streams"},
    {"two writers", 0, CAUGHT, two_writers, "no event orders two streams"},
    {"copy too long", 0, CAUGHT, copy_too_long, "outside allocation"},
    {"read of unwritten memory", 0, CAUGHT, read_unwritten, "read of uninitialised global memory"},
    {"copy of unwritten memory", 0, CAUGHT, copy_unwritten, "reads uninitialised memory"},
    {"wrong direction", 0, REFUSED, wrong_direction, NULL},
    {"freed twice", 0, REFUSED, free_twice, NULL},
    {"graph replay", 0, 0, graph_replay, NULL},
    {"stale address in a graph", 0, CAUGHT, stale_graph, "use of freed allocation"},
    {"step number", 0, 0, step_number, NULL},
    {"step number in a graph", 0, WRONG, step_number_in_a_graph, NULL},
    {"branches of a graph", 0, 0, branches_in_order, NULL},
    {"branches without order", 0, CAUGHT, branches_unordered, "no event orders two streams"},
    {"branch not joined", 0, REFUSED, branch_not_joined, NULL},
    {"wait while capturing", 0, REFUSED, wait_while_capturing, NULL},
};

/* In a process of its own: its exit code and what it said. */
static int run(const defect *d, char *said, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        static scene s;
        dup2(ends[1], STDERR_FILENO);
        set(&s);
        _exit(d->host ? d->host(&s) : kernel_bug(&s, d->bug));
    }
    close(ends[1]);
    size_t have = 0;
    for (ssize_t n; have + 1 < size && (n = read(ends[0], said + have, size - 1 - have)) > 0;)
        have += (size_t)n;
    said[have] = 0;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void each_defect_is_caught_by_its_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        const defect *d = &defects[i];
        char said[2000];
        const int code = run(d, said, sizeof said);
        if (code != d->code) fail_msg("%s: exit code %d: %s", d->name, code, said);
        if (d->message && !strstr(said, d->message))
            fail_msg("%s: expected \"%s\", found: %s", d->name, d->message, said);
    }
}

static void a_message_names_the_place(void **state)
{
    (void)state;
    char said[2000];
    run(&defects[2], said, sizeof said);
    assert_non_null(strstr(said, "past_the_end"));
    assert_non_null(strstr(said, "block (4,0,0) thread (0,0,0)"));
    assert_non_null(strstr(said, "bugs.cu:"));
    assert_non_null(strstr(said, "PTX line"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_defect_is_caught_by_its_check),
                                       cmocka_unit_test(a_message_names_the_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
