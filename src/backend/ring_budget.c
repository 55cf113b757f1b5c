/* ring_budget.c: how much memory a ring is, what of it goes round, and what each rank keeps whole.
 *
 * Gathering is hidden as long as the network brings forms as fast as visits let go of others. A
 * rank gathers ahead as much as goes round, so what counts is a stretch of visits that need as
 * much: the less is computed in it per byte, the faster the network has to be. So forms of the
 * worst stretch are kept, until another one is the worst. What is computed with a form alone says
 * little: adding two matrices takes no time beside the attention that follows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ring.h"
#include "core/round.h"

enum { VISITS_PER_RING = 4, LINE = 64 };

/* Of a ring, what goes round: measured (docs/cluster.md). */
static size_t round_part(size_t bytes) { return bytes / 4 / LINE * LINE; }

soda_status ring_cut(soda_weights *weights, size_t wanted)
{
    const size_t part = round_part(wanted) / VISITS_PER_RING;
    return part && part < WEIGHTS_VISIT_BYTES ? weights_cut(weights, part) : SODA_OK;
}

/* Of every form once. */
static size_t whole_bytes(const soda_weights *w, const size_t *room)
{
    size_t bytes = 0;
    for (int e = 0; e < w->entry_count; e++) bytes += room[e];
    return bytes;
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
    const soda_weights *weights;
    size_t *room; /* of each entry; 0: it does not go round */
    size_t ranks;
    size_t *visit_bytes;   /* that go round */
    double *visit_density; /* flops per byte of the worst stretch with this visit */
    int *uses;             /* of each entry */
    double *density;       /* of each entry: the least of its visits */
} choice;

static void close_choice(choice *c)
{
    free(c->visit_bytes);
    free(c->visit_density);
    free(c->uses);
    free(c->density);
}

static soda_status open_choice(const soda_weights *w, size_t *room, int ranks, choice *c)
{
    const size_t visits = (size_t)w->visit_count + 1, entries = (size_t)w->entry_count + 1;
    *c = (choice){.weights = w,
                  .room = room,
                  .ranks = (size_t)ranks,
                  .visit_bytes = calloc(visits, sizeof *c->visit_bytes),
                  .visit_density = calloc(visits, sizeof *c->visit_density),
                  .uses = calloc(entries, sizeof *c->uses),
                  .density = calloc(entries, sizeof *c->density)};
    if (!c->visit_bytes || !c->visit_density || !c->uses || !c->density) {
        close_choice(c);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    for (int v = 0; v < w->visit_count; v++) c->visit_bytes[v] = ring_visit_bytes(w, room, v);
    for (int u = 0; u < w->use_count; u++) c->uses[w->uses[u].entry]++;
    return SODA_OK;
}

/* Flops of all nodes up to the last one of a visit; -1: none. */
static double flops_until(const soda_weights *w, int visit)
{
    if (visit < 0) return 0;
    const weights_visit *v = &w->visits[visit];
    return w->uses[v->first_use + v->uses - 1].flops;
}

static void lower(double *x, double bound)
{
    if (bound < *x) *x = bound;
}

/* A stretch is as many visits as need `bytes`, or just more. */
static void find_visit_densities(const choice *c, size_t bytes)
{
    const soda_weights *w = c->weights;
    size_t held = 0;
    for (int v = 0; v < w->visit_count; v++) c->visit_density[v] = HUGE_VAL;
    for (int first = 0, end = 0; bytes > 0 && first < w->visit_count; first++) {
        while (end < w->visit_count && held < bytes) held += c->visit_bytes[end++];
        if (held < bytes) return; /* what is left can all be gathered ahead */
        const double flops = flops_until(w, end - 1) - flops_until(w, first - 1);
        for (int v = first; v < end; v++) lower(&c->visit_density[v], flops / (double)held);
        held -= c->visit_bytes[first];
    }
}

static void find_densities(const choice *c, size_t bytes)
{
    const soda_weights *w = c->weights;
    find_visit_densities(c, bytes);
    for (int e = 0; e < w->entry_count; e++) c->density[e] = HUGE_VAL;
    for (int v = 0, u = 0; v < w->visit_count; v++)
        for (; u < w->visits[v].first_use + w->visits[v].uses; u++)
            lower(&c->density[w->uses[u].entry], c->visit_density[v]);
}

/* What a rank needs more memory for, if it keeps an entry whole. */
static size_t cost(const choice *c, int entry)
{
    return c->room[entry] - c->room[entry] / c->ranks;
}

/* Of forms in the worst stretch first one that is gathered often, then a large one. */
static bool is_better(const choice *c, int a, int b)
{
    if (c->density[a] != c->density[b]) return c->density[a] < c->density[b];
    if (c->uses[a] != c->uses[b]) return c->uses[a] > c->uses[b];
    return c->room[a] > c->room[b];
}

/* The entry to keep next, for at most `left` bytes; -1: none. */
static int next_kept(const choice *c, size_t left)
{
    int best = -1;
    for (int e = 0; e < c->weights->entry_count; e++)
        if (cost(c, e) > 0 && cost(c, e) <= left && (best < 0 || is_better(c, e, best))) best = e;
    return best;
}

static void keep(const choice *c, int entry)
{
    const soda_weights *w = c->weights;
    for (int v = 0, u = 0; v < w->visit_count; v++) {
        bool is_used = false;
        for (; u < w->visits[v].first_use + w->visits[v].uses; u++)
            is_used = is_used || w->uses[u].entry == entry;
        if (is_used) c->visit_bytes[v] -= c->room[entry];
    }
    c->room[entry] = 0;
}

soda_status ring_divide(const soda_weights *w, size_t *room, int ranks, size_t *bytes)
{
    const size_t two = 2 * ring_least(w, room), part = round_part(*bytes);
    const size_t wanted = part > two ? part : two < *bytes ? two : *bytes;
    size_t left = *bytes - wanted;
    choice c;
    TRY(open_choice(w, room, ranks, &c));
    find_densities(&c, wanted);
    for (int e; (e = next_kept(&c, left)) >= 0; find_densities(&c, wanted)) {
        left -= cost(&c, e);
        keep(&c, e);
    }
    close_choice(&c);
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
