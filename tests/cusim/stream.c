/* Streams and events. Work waits in its stream until something needs it (CUSIM_STREAMS=lazy, the
 * default), runs at once (eager) or at random moments (random): a result that is read without
 * waiting, a buffer that is reused too early or a missing event shows as a difference between the
 * three. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_runtime_api.h"

static struct CUstream_st default_stream;
static cudaStream_t *streams;
static size_t stream_count;

cudaStream_t sim_stream(cudaStream_t s)
{
    return s == NULL || s == cudaStreamLegacy || s == cudaStreamPerThread ? &default_stream : s;
}

bool sim_stream_known(cudaStream_t s)
{
    s = sim_stream(s);
    if (s == &default_stream) return true;
    for (size_t k = 0; k < stream_count; k++)
        if (streams[k] == s) return true;
    return false;
}

/* Runs the next piece; false if it is not ready. */
static bool step(cudaStream_t s)
{
    const sim_work w = s->queue[s->first];
    if (w.ready && !w.ready(w.context)) return false;
    s->first++;
    if (s->first == s->count) s->first = s->count = 0;
    sim_piece_run(&w.piece, w.run, w.context, w.what);
    free(w.context);
    return true;
}

static void step_when_ready(cudaStream_t s)
{
    while (!step(s)) nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

void sim_stream_run(cudaStream_t s)
{
    while (s->first < s->count) step_when_ready(s);
}

void sim_stream_advance(cudaStream_t stream)
{
    cudaStream_t s = sim_stream(stream);
    while (s->first < s->count && step(s)) continue;
}

void sim_stream_drain(void)
{
    for (size_t k = 0; k < stream_count; k++) sim_stream_run(streams[k]);
    sim_stream_run(&default_stream);
}

/* The default stream waits for all streams but those that do not block. */
static void drain_blocking(void)
{
    for (size_t k = 0; k < stream_count; k++) {
        if (streams[k]->nonblocking) continue;
        sim_stream_run(streams[k]);
        sim_past_join(&default_stream.past, &streams[k]->past);
    }
}

/* Work that is captured, or the next piece of the stream: after what the host has waited for and,
 * in a stream that blocks, after the default stream. */
static sim_piece piece_next(cudaStream_t s)
{
    if (s->capture) {
        s->captured.until[s->branch] = ++s->capture->pieces[s->branch];
        return (sim_piece){s->captured, s->captured.until[s->branch], s->branch};
    }
    sim_past_join(&s->past, &sim_host_past);
    if (s != &default_stream && !s->nonblocking) sim_past_join(&s->past, &default_stream.past);
    const uint32_t number = sim_line_take(s->line, 1) + 1;
    s->past.until[s->line] = number;
    return (sim_piece){s->past, number, s->line};
}

static void push(cudaStream_t s, sim_work w)
{
    if (s->first && s->count == s->first) s->first = s->count = 0;
    s->queue = sim_push(s->queue, s->count, sizeof *s->queue);
    s->queue[s->count++] = w;
}

void sim_enqueue(cudaStream_t stream, void (*run)(void *), void *context, const char *what)
{
    sim_enqueue_when(stream, NULL, run, context, what);
}

void sim_enqueue_when(cudaStream_t stream, bool (*ready)(const void *), void (*run)(void *),
                      void *context, const char *what)
{
    cudaStream_t s = sim_stream(stream);
    if (!sim_stream_known(s)) sim_die("%s: unknown or destroyed stream %p", what, (void *)stream);
    if (s == &default_stream) {
        sim_order_streams(stream_count + 1);
        drain_blocking();
    }
    const sim_work w = {run, ready, context, what, piece_next(s)};
    if (s->capture) {
        struct CUgraph_st *g = s->capture;
        g->work = sim_push(g->work, g->count, sizeof *g->work);
        g->work[g->count++] = w;
        return;
    }
    push(s, w);
    const sim_streams how = sim_option()->streams;
    if (s == &default_stream) sim_stream_run(s);
    if (how == STREAMS_EAGER) sim_stream_advance(s);
    if (how != STREAMS_RANDOM || sim_random() % 3) return;
    for (size_t k = 0; k < stream_count; k++)
        while (streams[k]->first < streams[k]->count && sim_random() % 2 && step(streams[k]))
            continue;
}

void sim_enqueued_uses(cudaStream_t stream, const void *p, size_t n, bool writes)
{
    const cudaStream_t s = sim_stream(stream);
    if (!s->capture) sim_pinned_use(p, n, writes, s->line, s->past.until[s->line]);
}

/* ---- streams ---- */
static void host_waited(const sim_past *past)
{
    sim_past_join(&sim_host_past, past);
    sim_pinned_settle();
}

void sim_wait_all(void)
{
    sim_stream_drain();
    sim_past_all(&sim_host_past);
    sim_pinned_settle();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    if (!s || flags > cudaStreamNonBlocking) return sim_fail(cudaErrorInvalidValue);
    if (sim_fails(SIM_QUEUE)) return sim_fail(cudaErrorUnknown);
    *s = sim_alloc(sizeof **s);
    (*s)->nonblocking = flags & cudaStreamNonBlocking;
    (*s)->line = sim_line_new();
    streams = sim_push(streams, stream_count, sizeof(cudaStream_t));
    streams[stream_count++] = *s;
    sim_order_streams(stream_count);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *s)
{
    return cudaStreamCreateWithFlags(s, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int priority)
{
    (void)priority;
    return cudaStreamCreateWithFlags(s, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    for (size_t k = 0; k < stream_count; k++) {
        if (streams[k] != s) continue;
        sim_stream_run(s);
        memmove(&streams[k], &streams[k + 1], (--stream_count - k) * sizeof *streams);
        sim_line_free(s->line);
        free(s->queue);
        free(s);
        return cudaSuccess;
    }
    return sim_fail(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    cudaStream_t s = sim_stream(stream);
    if (!sim_stream_known(s)) return sim_fail(cudaErrorInvalidResourceHandle);
    if (s->capture) {
        s->capture->broken = true;
        return sim_fail(cudaErrorStreamCaptureUnsupported);
    }
    sim_count.waits++;
    if (s == &default_stream) drain_blocking();
    sim_stream_run(s);
    host_waited(&s->past);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    cudaStream_t s = sim_stream(stream);
    const bool busy = s->first < s->count;
    if (busy) (void)step(s);
    if (s->first < s->count) return cudaErrorNotReady;
    if (busy) sim_count.waits++;
    host_waited(&s->past);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    sim_count.waits++;
    sim_wait_all();
    return cudaSuccess;
}

/* ---- events ---- */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    (void)flags;
    if (!e) return sim_fail(cudaErrorInvalidValue);
    if (sim_fails(SIM_QUEUE)) return sim_fail(cudaErrorUnknown);
    *e = sim_alloc(sizeof **e);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    if (!e) return sim_fail(cudaErrorInvalidResourceHandle);
    if (e->recorded != e->done) sim_stream_drain();
    free(e);
    return cudaSuccess;
}

typedef struct {
    cudaEvent_t event;
    uint64_t number; /* of the record */
} mark;

static void record(void *context)
{
    const mark *m = context;
    if (m->event->done < m->number) m->event->done = m->number;
    m->event->time_s = sim_count.clock_s;
}

static mark *mark_new(cudaEvent_t e)
{
    mark *m = sim_alloc(sizeof *m);
    *m = (mark){e, e->recorded};
    return m;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream)
{
    cudaStream_t s = sim_stream(stream);
    if (!e || !sim_stream_known(s)) return sim_fail(cudaErrorInvalidResourceHandle);
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (sim_fails(SIM_QUEUE)) return sim_fail(cudaErrorUnknown);
    e->capture = s->capture;
    e->past = s->captured;
    if (s->capture) return cudaSuccess;
    e->recorded++;
    e->stream = s;
    sim_enqueue(s, record, mark_new(e), "event record");
    e->past = s->past;
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned flags)
{
    (void)flags;
    return cudaEventRecord(e, s);
}

static void run_until(cudaEvent_t e, uint64_t number)
{
    while (e->done < number && sim_stream_known(e->stream) && e->stream->first < e->stream->count)
        step_when_ready(e->stream);
}

static void wait(void *context)
{
    const mark *m = context;
    run_until(m->event, m->number);
}

static void join_capture(cudaStream_t s, struct CUgraph_st *g)
{
    if (g->branches == SIM_LINES) sim_die("a graph of more than %d branches", SIM_LINES);
    s->capture = g;
    s->branch = g->branches++;
    memset(&s->captured, 0, sizeof s->captured);
}

/* A stream that waits for an event of a capture joins that capture. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    cudaStream_t s = sim_stream(stream);
    if (!e || !sim_stream_known(s)) return sim_fail(cudaErrorInvalidResourceHandle);
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (sim_fails(SIM_QUEUE)) return sim_fail(cudaErrorUnknown);
    if (e->capture) {
        if (s->capture && s->capture != e->capture) return sim_fail(cudaErrorStreamCaptureMerge);
        if (!s->capture) join_capture(s, e->capture);
        sim_past_join(&s->captured, &e->past);
        return cudaSuccess;
    }
    if (s->capture) {
        s->capture->broken = true;
        return sim_fail(cudaErrorStreamCaptureIsolation);
    }
    if (!e->recorded) return cudaSuccess;
    sim_past_join(&s->past, &e->past);
    sim_enqueue(s, wait, mark_new(e), "event wait");
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (!e) return sim_fail(cudaErrorInvalidResourceHandle);
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    if (e->recorded != e->done) sim_count.waits++;
    run_until(e, e->recorded);
    host_waited(&e->past);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    if (!e) return sim_fail(cudaErrorInvalidResourceHandle);
    if (sim_lost()) return sim_fail(cudaErrorLaunchFailure);
    const bool busy = e->done != e->recorded;
    if (busy && sim_stream_known(e->stream) && e->stream->first < e->stream->count)
        (void)step(e->stream); /* a GPU goes on while it is asked */
    if (e->done != e->recorded) return cudaErrorNotReady;
    if (busy) sim_count.waits++;
    host_waited(&e->past);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    if (!ms || !start || !end) return sim_fail(cudaErrorInvalidResourceHandle);
    if (start->done != start->recorded || end->done != end->recorded)
        return sim_fail(cudaErrorNotReady);
    *ms = (float)(1e3 * (end->time_s - start->time_s));
    return cudaSuccess;
}

/* ---- capture ---- */
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    cudaStream_t s = sim_stream(stream);
    if (s == &default_stream) return sim_fail(cudaErrorStreamCaptureUnsupported);
    if (!sim_stream_known(s) || s->capture) return sim_fail(cudaErrorIllegalState);
    struct CUgraph_st *g = sim_alloc(sizeof *g);
    g->references = 1;
    join_capture(s, g);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    cudaStream_t s = sim_stream(stream);
    if (!sim_stream_known(s) || !s->capture || s->branch) return sim_fail(cudaErrorIllegalState);
    struct CUgraph_st *g = s->capture;
    for (size_t k = 0; k < stream_count; k++)
        if (streams[k]->capture == g) streams[k]->capture = NULL;
    cudaError_t error = g->broken ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    for (int b = 1; b < g->branches; b++) /* a branch that the origin does not wait for */
        if (!error && s->captured.until[b] < g->pieces[b]) error = cudaErrorStreamCaptureUnjoined;
    *graph = error ? NULL : g;
    if (!error) return cudaSuccess;
    cudaGraphDestroy(g);
    return sim_fail(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *status)
{
    *status = sim_stream(s)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
