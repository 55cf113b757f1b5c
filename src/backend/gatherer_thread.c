/* gatherer_thread.c: a thread gathers, and need waits for it. */
#include "backend/gatherer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/ring.h"
#include "core/log.h"
#include "core/pulse.h"

typedef struct {
    soda_gatherer base;
    gatherer_fetch *fetch;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;        /* any of what follows */
    const soda_weights *weights; /* of the run; there as long as visits are to come */
    int next, done, end;         /* visits done .. next - 1 are present, next .. end - 1 to come */
    bool ends;
    status_slot failure;
} threaded;

static bool may_fetch(const threaded *g)
{
    return g->next < g->end && !status_kept(&g->failure) &&
           ring_is_free(g->weights, g->done, g->next);
}

/* struct sched_attr of sched_setattr(2), which not every C library declares. */
typedef struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t turn_ns, deadline_ns, period_ns;
} turns;

/* The threads that compute have the cores for themselves, and wait for this one, which needs a core
 * often and not for long: one whose turns are short gets it as soon as it wakes up, from Linux 6.12
 * on. Elsewhere this changes nothing. Its sleeps last as long as they say, not for 50 us more. */
static void take_short_turns(void)
{
    prctl(PR_SET_TIMERSLACK, 1000);
    turns t = {.size = sizeof t};
    if (syscall(SYS_sched_getattr, 0, &t, sizeof t, 0) != 0) return;
    t.turn_ns = 100000; /* the least that Linux takes */
    syscall(SYS_sched_setattr, 0, &t, 0);
}

static void *work(void *context)
{
    threaded *g = context;
    take_short_turns();
    pthread_mutex_lock(&g->lock);
    while (!g->ends) {
        if (!may_fetch(g)) {
            pthread_cond_wait(&g->moved, &g->lock);
            continue;
        }
        pthread_mutex_unlock(&g->lock);
        const soda_status s = g->fetch(g->context, g->weights, g->next);
        pthread_mutex_lock(&g->lock);
        status_keep(&g->failure, s);
        g->next++;
        pthread_cond_broadcast(&g->moved);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static soda_status reserve(soda_gatherer *gatherer, int visits)
{
    (void)gatherer, (void)visits;
    return SODA_OK;
}

static void start(soda_gatherer *gatherer, const soda_weights *weights, int first)
{
    threaded *g = (threaded *)gatherer;
    pthread_mutex_lock(&g->lock);
    g->weights = weights;
    g->next = g->done = first;
    g->end = weights->visit_count;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

static soda_status need(soda_gatherer *gatherer, int visit)
{
    threaded *g = (threaded *)gatherer;
    pthread_mutex_lock(&g->lock);
    if (g->next <= visit && !status_kept(&g->failure)) {
        const double start_s = log_seconds();
        pulse_wait("gathering of weights");
        while (g->next <= visit && !status_kept(&g->failure))
            pthread_cond_wait(&g->moved, &g->lock);
        pulse_wait(NULL);
        g->base.waited_s += log_seconds() - start_s;
    }
    const soda_status s = status_take(&g->failure);
    pthread_mutex_unlock(&g->lock);
    return s;
}

static void done(soda_gatherer *gatherer, int visit)
{
    threaded *g = (threaded *)gatherer;
    pthread_mutex_lock(&g->lock);
    g->done = visit + 1;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

static void close_threaded(soda_gatherer *gatherer)
{
    threaded *g = (threaded *)gatherer;
    pthread_mutex_lock(&g->lock);
    g->ends = true;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->moved);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

soda_status gatherer_create_thread(gatherer_fetch *fetch, void *context, soda_gatherer **gatherer)
{
    threaded *g = calloc(1, sizeof *g);
    *gatherer = NULL;
    if (!g) return FAIL(SODA_ERR_MEMORY, "out of memory");
    g->base = (soda_gatherer){
        .reserve = reserve, .start = start, .need = need, .done = done, .close = close_threaded};
    g->fetch = fetch;
    g->context = context;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->moved, NULL);
    const int code = pthread_create(&g->thread, NULL, work, g);
    if (code == 0) {
        *gatherer = &g->base;
        return SODA_OK;
    }
    pthread_cond_destroy(&g->moved);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return FAIL(SODA_ERR_MEMORY, "no thread for gathering weights: %s", strerror(code));
}
