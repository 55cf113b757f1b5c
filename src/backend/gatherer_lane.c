/* gatherer_lane.c: gathers are queued on the device as soon as the host has queued the last kernels
 * that read what they overwrite, so the host is ahead of the device by all it likes, and the device
 * gathers ahead of its kernels by what the ring holds. */
#include <stdlib.h>

#include "backend/gatherer.h"
#include "backend/ring.h"

/* A room of the ring that was used: mark `mark` is done when it may be used again. */
typedef struct {
    const char *from, *to;
    int mark;
} used_room;

typedef struct {
    soda_gatherer base;
    soda_lane *lane;
    gatherer_fetch *fetch;
    void *context;
    used_room *used; /* apart from each other, in the order in which they are done */
    int used_count, used_most;
    const soda_weights *weights; /* of the run */
    int next, done, end;         /* visits done .. next - 1 are queued, next .. end - 1 to come */
    status_slot failure;
} queued;

static soda_status reserve(soda_gatherer *gatherer, int visits)
{
    queued *g = (queued *)gatherer;
    return g->lane->reserve(g->lane, visits);
}

/* Grows in the first runs: rooms in use are as many as the visits that a ring holds. */
static soda_status note_room(queued *g, used_room room)
{
    if (g->used_count == g->used_most) {
        const int most = 2 * g->used_most + 64;
        used_room *grown = realloc(g->used, (size_t)most * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        g->used = grown;
        g->used_most = most;
    }
    g->used[g->used_count++] = room;
    return SODA_OK;
}

/* The lane waits for the last of the rooms that visit `visit` takes, and takes them. */
static soda_status take_room(queued *g, int visit)
{
    const weights_visit *v = &g->weights->visits[visit];
    const char *from = g->weights->ring + v->at, *to = from + v->bytes;
    int last = -1, kept = 0;
    if (v->bytes == 0) return SODA_OK;
    for (int i = 0; i < g->used_count; i++) {
        const used_room *r = &g->used[i];
        if (r->from < to && from < r->to)
            last = r->mark;
        else
            g->used[kept++] = *r;
    }
    g->used_count = kept;
    TRY(note_room(g, (used_room){from, to, visit}));
    return last < 0 ? SODA_OK : g->lane->follow(g->lane, last);
}

static soda_status queue(queued *g, int visit)
{
    TRY(take_room(g, visit));
    return g->fetch(g->context, g->weights, visit);
}

/* `need` tells it. */
static void keep(queued *g, soda_status s)
{
    status_keep(&g->failure, s);
    if (s != SODA_OK) g->lane->give_up(g->lane);
}

/* All that may be queued now. After a failure nothing more. */
static void queue_more(queued *g)
{
    while (g->next < g->end && ring_is_free(g->weights, g->done, g->next)) {
        if (!status_kept(&g->failure)) keep(g, queue(g, g->next));
        g->next++;
    }
}

static void start(soda_gatherer *gatherer, const soda_weights *weights, int first)
{
    queued *g = (queued *)gatherer;
    g->weights = weights;
    g->next = g->done = first;
    g->end = weights->visit_count;
    queue_more(g);
}

static soda_status need(soda_gatherer *gatherer, int visit)
{
    queued *g = (queued *)gatherer;
    TRY(status_take(&g->failure));
    return g->weights->visits[visit].bytes > 0 ? g->lane->need(g->lane, visit) : SODA_OK;
}

static void done(soda_gatherer *gatherer, int visit)
{
    queued *g = (queued *)gatherer;
    if (g->weights->visits[visit].bytes > 0 && !status_kept(&g->failure))
        keep(g, g->lane->done(g->lane, visit));
    g->done = visit + 1;
    queue_more(g);
}

static void close_queued(soda_gatherer *gatherer)
{
    free(((queued *)gatherer)->used);
    free(gatherer);
}

soda_status gatherer_create_lane(soda_lane *lane, gatherer_fetch *fetch, void *context,
                                 soda_gatherer **gatherer)
{
    queued *g = calloc(1, sizeof *g);
    *gatherer = NULL;
    if (!g) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *g = (queued){.base = {.reserve = reserve,
                           .start = start,
                           .need = need,
                           .done = done,
                           .close = close_queued},
                  .lane = lane,
                  .fetch = fetch,
                  .context = context};
    *gatherer = &g->base;
    return SODA_OK;
}
