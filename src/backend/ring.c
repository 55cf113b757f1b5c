#include "backend/ring.h"

#include "core/round.h"

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
