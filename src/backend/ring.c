#include "backend/ring.h"

#include <stdlib.h>
#include <string.h>

#include "core/round.h"

enum { VISITS_PER_RING = 4, LINE = 64 };

/* Of a ring, what goes round: measured (docs/cluster.md). */
static size_t round_part(size_t bytes) { return bytes / 4 / LINE * LINE; }

soda_status ring_cut(soda_weights *weights, size_t wanted)
{
    const size_t part = round_part(wanted) / VISITS_PER_RING;
    return part && part < WEIGHTS_VISIT_BYTES ? weights_cut(weights, part) : SODA_OK;
}

size_t ring_rooms(const soda_weights *w, size_t *room)
{
    size_t all = 0;
    for (int e = 0; e < w->entry_count; e++) {
        const weights_entry *entry = &w->entries[e];
        room[e] = weights_is_cut(&entry->weight) ? whole_lines(entry->form.bytes) : 0;
        all += room[e];
    }
    return all;
}

/* Whether use `u` is the first one of its entry since use `first`. */
static bool is_new(const soda_weights *w, int first, int u)
{
    for (int i = first; i < u; i++)
        if (w->uses[i].entry == w->uses[u].entry) return false;
    return true;
}

size_t ring_visit_bytes(const soda_weights *w, const size_t *room, int visit)
{
    const weights_visit *v = &w->visits[visit];
    size_t bytes = 0;
    for (int u = v->first_use; u < v->first_use + v->uses; u++)
        if (is_new(w, v->first_use, u)) bytes += room[w->uses[u].entry];
    return bytes;
}

size_t ring_least(const soda_weights *weights, const size_t *room)
{
    size_t least = 0;
    for (int v = 0; v < weights->visit_count; v++) {
        const size_t bytes = ring_visit_bytes(weights, room, v);
        if (bytes > least) least = bytes;
    }
    return least;
}

/* Of every form once. */
static size_t whole_bytes(const soda_weights *w, const size_t *room)
{
    size_t bytes = 0;
    for (int e = 0; e < w->entry_count; e++) bytes += room[e];
    return bytes;
}

static void place_uses(soda_weights *w, const size_t *room, const weights_visit *v)
{
    size_t at = v->at;
    for (int u = v->first_use; u < v->first_use + v->uses; u++) {
        const int entry = w->uses[u].entry;
        w->uses[u].at = at;
        for (int i = v->first_use; i < u; i++)
            if (w->uses[i].entry == entry) w->uses[u].at = w->uses[i].at;
        if (w->uses[u].at == at) at += room[entry];
    }
}

void ring_place(soda_weights *w, const size_t *room, size_t bytes)
{
    size_t at = 0;
    for (int i = 0; i < w->visit_count; i++) {
        weights_visit *v = &w->visits[i];
        v->bytes = ring_visit_bytes(w, room, i);
        if (at + v->bytes > bytes) at = 0;
        v->at = at;
        place_uses(w, room, v);
        at += v->bytes;
    }
}

bool ring_is_free(const soda_weights *weights, int first, int next)
{
    const weights_visit *n = &weights->visits[next];
    if (n->bytes == 0) return true;
    for (int i = first; i < next; i++) {
        const weights_visit *v = &weights->visits[i];
        if (v->at < n->at + n->bytes && n->at < v->at + v->bytes) return false;
    }
    return true;
}

static soda_status check(size_t least, size_t wanted)
{
    if (!wanted || wanted >= least) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "parallel.ring: expected at least %.3f MiB, which one operator of this model "
                "needs, found %.3f",
                (double)round_up(least, 1024) / 0x1p20 + 5e-4, (double)wanted / 0x1p20);
}

soda_status ring_choose(const soda_weights *weights, const size_t *room, size_t wanted,
                        size_t usual, size_t *bytes)
{
    const size_t least = ring_least(weights, room), most = whole_bytes(weights, room);
    TRY(check(least, wanted));
    const size_t ample = least + WEIGHTS_VISIT_BYTES;
    *bytes = wanted ? wanted : ample > usual ? ample : usual;
    if (*bytes > most) *bytes = most;
    return SODA_OK;
}

soda_status ring_check(soda_weights *weights, size_t wanted)
{
    TRY(ring_cut(weights, wanted));
    size_t *room = malloc(((size_t)weights->entry_count + 1) * sizeof *room);
    if (!room) return FAIL(SODA_ERR_MEMORY, "out of memory");
    ring_rooms(weights, room);
    const soda_status s = check(ring_least(weights, room), wanted);
    free(room);
    return s;
}

typedef struct {
    double flops; /* per byte and use */
    int uses, entry;
} worth;

static int by_flops(const void *a, const void *b)
{
    const worth *x = a, *y = b;
    if (x->flops != y->flops) return x->flops < y->flops ? -1 : 1;
    return (x->entry > y->entry) - (x->entry < y->entry);
}

/* What is computed with each entry, the least first. */
static soda_status list_worth(const soda_weights *w, worth **list)
{
    worth *l = *list = calloc((size_t)w->entry_count + 1, sizeof *l);
    if (!l) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int u = 0; u < w->use_count; u++) {
        l[w->uses[u].entry].flops += w->uses[u].flops;
        l[w->uses[u].entry].uses++;
    }
    for (int e = 0; e < w->entry_count; e++) {
        l[e].entry = e;
        l[e].flops /= (double)l[e].uses * (double)w->entries[e].form.bytes;
    }
    qsort(l, (size_t)w->entry_count, sizeof *l, by_flops);
    return SODA_OK;
}

soda_status ring_divide(const soda_weights *w, size_t *room, int ranks, size_t *bytes)
{
    const size_t two = 2 * ring_least(w, room), part = round_part(*bytes);
    const size_t wanted = part > two ? part : two < *bytes ? two : *bytes;
    size_t left = *bytes - wanted;
    worth *list;
    TRY(list_worth(w, &list));
    for (int i = 0; i < w->entry_count; i++) {
        const size_t whole = room[list[i].entry], more = whole - whole / (size_t)ranks;
        if (more == 0 || more > left) continue;
        left -= more;
        room[list[i].entry] = 0;
    }
    free(list);
    const size_t rest = whole_bytes(w, room);
    *bytes = wanted + left < rest ? wanted + left : rest;
    return SODA_OK;
}

bool ring_keeps(const ring_budget *budget, const weights_entry *entry)
{
    return form_table_find(&budget->kept, entry->weight.name, entry->form.form) >= 0;
}

/* Chooses the budget. */
static soda_status begin(ring_budget *b, const soda_weights *w, size_t *room, int ranks,
                         size_t *bytes)
{
    TRY(ring_choose(w, room, b->wanted, b->usual, bytes));
    size_t *before = malloc(((size_t)w->entry_count + 1) * sizeof *before);
    if (!before) return FAIL(SODA_ERR_MEMORY, "out of memory");
    b->bytes = *bytes;
    memcpy(before, room, (size_t)w->entry_count * sizeof *room);
    soda_status s = ring_divide(w, room, ranks, bytes);
    for (int e = 0; e < w->entry_count && s == SODA_OK; e++)
        if (before[e] > 0 && room[e] == 0)
            s = form_table_add(&b->kept, w->entries[e].weight.name, w->entries[e].form.form, 0);
    free(before);
    return s;
}

soda_status ring_fit(ring_budget *budget, const soda_weights *weights, size_t *room, int ranks,
                     size_t *bytes)
{
    const size_t least = ring_least(weights, room);
    if (least > 0 && budget->bytes == 0) return begin(budget, weights, room, ranks, bytes);
    TRY(check(least, budget->wanted));
    if (*bytes < least) *bytes = least;
    return SODA_OK;
}
