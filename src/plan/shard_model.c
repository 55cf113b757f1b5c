#include "plan/shard_model.h"

#include <math.h>
#include <stdlib.h>

#include "backend/ring.h"

size_t shard_bytes(const ledger_sums *sums, shard_layout layout, size_t *ring_bytes)
{
    const size_t large = sums->all - sums->small;
    const size_t slice = whole_lines((large + (size_t)layout.ranks - 1) / (size_t)layout.ranks);
    size_t ring = layout.ring_bytes > sums->largest ? layout.ring_bytes : sums->largest;
    if (ring > large) ring = large;
    *ring_bytes = ring;
    return sums->small + slice + ring;
}

/* A visit as the walk sees it. */
typedef struct {
    double bytes;   /* to be gathered */
    double alone_s; /* of steps since the visit before, which need no weights */
    double busy_s;  /* of its own steps */
} stop;

/* room [entries]: of what is gathered. Returns the seconds of the steps behind the last visit. */
static double list_stops(const shard_case *c, const size_t *room, stop *stops, int *count)
{
    const soda_weights *w = c->weights;
    int step = c->first;
    *count = 0;
    for (int v = 0; v < w->visit_count; v++) {
        stop *s = &stops[*count];
        if (w->visits[v].last_step < c->first) continue;
        *s = (stop){.bytes = (double)ring_visit_bytes(w, room, v)};
        for (; step < w->visits[v].first_step; step++) s->alone_s += c->step_s[step];
        for (; step <= w->visits[v].last_step; step++) s->busy_s += c->step_s[step];
        (*count)++;
    }
    double rest_s = 0;
    for (; step < c->steps; step++) rest_s += c->step_s[step];
    return rest_s;
}

/* The second of two passes, which begins with what the first one had gathered ahead. end_s [2
 * count] is when each visit is over. */
static shard_walk walk_twice(const shard_case *c, shard_layout layout, const stop *stops, int count,
                             double rest_s, double *end_s)
{
    const double part = (double)(layout.ranks - 1) / layout.ranks;
    double net_s = 0, now_s = 0, held = 0; /* bytes in the ring, of visits `oldest` to v - 1 */
    int oldest = 0;
    shard_walk walk = {0};
    for (int v = 0; v < 2 * count; v++) {
        const stop *s = &stops[v % count];
        double begin_s = net_s;
        while (oldest < v && held + s->bytes > (double)layout.ring_bytes) {
            begin_s = fmax(begin_s, end_s[oldest]);
            held -= stops[oldest++ % count].bytes;
        }
        const double gather_s = s->bytes > 0 ? c->latency_s + part * s->bytes / c->bytes_per_s : 0;
        held += s->bytes;
        net_s = s->bytes > 0 ? begin_s + gather_s : net_s;
        now_s += s->alone_s;
        const double wait_s = s->bytes > 0 ? fmax(0, net_s - now_s) : 0;
        now_s += wait_s + s->busy_s;
        end_s[v] = now_s;
        if (v % count == count - 1) now_s += rest_s;
        if (v < count) continue;
        walk.bytes += part * s->bytes;
        walk.gather_s += gather_s;
        walk.wait_s += wait_s;
    }
    return walk;
}

soda_status shard_walk_visits(const shard_case *c, shard_layout layout, shard_walk *walk)
{
    const soda_weights *w = c->weights;
    stop *stops = calloc((size_t)w->visit_count + 1, sizeof *stops);
    double *end_s = calloc(2 * (size_t)w->visit_count + 1, sizeof *end_s);
    size_t *room = calloc((size_t)w->entry_count + 1, sizeof *room);
    soda_status s = SODA_OK;
    int count;
    *walk = (shard_walk){0};
    if (!stops || !end_s || !room) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    const size_t all = ring_rooms(w, room);
    if (layout.ring_bytes > all) layout.ring_bytes = all;
    TRY_TO(done, ring_divide(w, room, layout.ranks, &layout.ring_bytes));
    const double rest_s = list_stops(c, room, stops, &count);
    *walk = walk_twice(c, layout, stops, count, rest_s, end_s);
done:
    free(stops);
    free(end_s);
    free(room);
    return s;
}
