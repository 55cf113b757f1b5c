#include "io/spread_arrays.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/path.h"
#include "core/pulse.h"
#include "io/array_cache.h"
#include "io/one_folder.h"

/* One round: the ranks that take are given what they lack. */
typedef struct {
    shared_arrays *list;
    soda_comm *comm;
    int64_t first, step; /* this rank takes items first, first + step, ... */
    bool store;
    bool again;       /* what nobody had in the round before is not looked for */
    int64_t *lacking; /* [count] whether some rank that takes it lacks item i; then, */
    int64_t *holding; /* [count] size - rank of the first rank that has it */
    int64_t *most;    /* [count] the largest checksum of item i on ranks that have it, */
    int64_t *least;   /* [count] and the largest complement of one */
    float *buffer;    /* for one item */
    int64_t apart[2]; /* something that is sent is in the sender's cache; a taker's lacks it */
} spread_round;

/* The start of the checksum of item i, which is there, as a number. */
static soda_status find_sum(const spread_round *r, int64_t i, int64_t *sum)
{
    const char *sha256;
    *sum = 0;
    TRY(shared_arrays_checksum(r->list, i, &sha256));
    memcpy(sum, sha256, sizeof *sum);
    return SODA_OK;
}

/* Looks into this rank's memory and cache. Local. */
static soda_status look(spread_round *r)
{
    const int64_t count = r->list->count;
    status_slot slot = {0};
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = r->first; i < count; i += r->step) {
        bool missing = false;
        if (status_kept(&slot) || (r->again && !r->list->items[i].held)) continue;
        status_keep(&slot, shared_arrays_missing(r->list, i, &missing));
        r->lacking[i] = missing;
        pulse_beat();
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; i++) {
        r->most[i] = r->least[i] = INT64_MIN;
        if (!r->list->items[i].data[0] || status_kept(&slot)) continue;
        r->holding[i] = r->comm->size - r->comm->rank;
        if (r->comm->size == 1) continue; /* nobody to compare it with */
        status_keep(&slot, find_sum(r, i, &r->most[i]));
        r->least[i] = ~r->most[i];
        pulse_beat();
    }
    return status_take(&slot);
}

static soda_status refuse(const spread_round *r, int64_t i, int root)
{
    const shared_arrays *list = r->list;
    const char *key = list->items[i].key;
    const bool is_file = list->folder && array_cache_has(list->folder, list->kind, key);
    return FAIL(SODA_ERR_INPUT,
                "%s%s%s/%s%s: expected what rank %d has under this name, found other numbers: both "
                "are intact but were made by different libraries or CPUs; use one cache for all "
                "ranks (SODA_CACHE, --cache), or delete this node's, and that of rank %d is sent "
                "to it",
                is_file ? list->folder : "", is_file ? "/" : "", list->kind, key,
                is_file ? ".safetensors" : "", root, root);
}

/* Ranks with other bases or latents than the rest would train something else. Fails at the first
 * item that two ranks have with different numbers. Collective. */
static soda_status compare(const spread_round *r)
{
    const int64_t count = r->list->count;
    int64_t i = 0, own = 0;
    soda_status s = SODA_OK;
    if (r->comm->size == 1) return SODA_OK;
    while (i < count && (!r->holding[i] || r->most[i] == ~r->least[i])) i++;
    if (i == count) return SODA_OK;
    const int root = r->comm->size - (int)r->holding[i];
    const bool has = r->list->items[i].data[0] != NULL;
    if (has) s = find_sum(r, i, &own);
    int64_t first = own;
    TRY(r->comm->broadcast(r->comm, &first, sizeof first, root));
    if (s == SODA_OK && has && own != first) s = refuse(r, i, root);
    return comm_agree(r->comm, s);
}

static bool takes(const spread_round *r, int64_t i)
{
    return i % r->step == r->first && !r->list->items[i].data[0];
}

static bool is_sent(const spread_round *r, int64_t i) { return r->lacking[i] && r->holding[i]; }

/* Room for the largest item that is sent. Local. */
static soda_status make_buffer(spread_round *r)
{
    int64_t most = 0;
    for (int64_t i = 0; i < r->list->count; i++) {
        const int64_t numbers = shared_arrays_numbers(r->list, i);
        if (is_sent(r, i) && numbers > most) most = numbers;
    }
    r->buffer = malloc((size_t)(most + 1) * sizeof *r->buffer);
    return r->buffer ? SODA_OK
                     : FAIL(SODA_ERR_MEMORY, "out of memory for %s of %lld numbers", r->list->kind,
                            (long long)most);
}

/* The arrays of item `i`, one behind the other, from rank `root`. Collective. */
static soda_status fetch(spread_round *r, int64_t i, int root)
{
    const shared_arrays_item *item = &r->list->items[i];
    float *to = r->buffer;
    for (int a = 0; a < r->list->arrays && r->comm->rank == root; a++) {
        const int64_t n = shape_count(&item->shape[a]);
        memcpy(to, item->data[a], (size_t)n * sizeof *to);
        to += n;
    }
    return r->comm->broadcast(r->comm, r->buffer,
                              (size_t)shared_arrays_numbers(r->list, i) * sizeof *r->buffer, root);
}

static soda_status take(spread_round *r, int64_t i)
{
    const float *data[SHARED_ARRAYS], *at = r->buffer;
    for (int a = 0; a < r->list->arrays; a++) {
        data[a] = at;
        at += shape_count(&r->list->items[i].shape[a]);
    }
    if (r->list->folder) r->apart[1] = 1;
    return shared_arrays_put(r->list, i, data, r->store);
}

/* A rank that cannot take an item still takes part until the ranks agree. Collective. */
static soda_status send_all(spread_round *r)
{
    const shared_arrays *list = r->list;
    soda_status s = SODA_OK;
    for (int64_t i = 0; i < list->count; i++) {
        if (!is_sent(r, i)) continue;
        const int root = r->comm->size - (int)r->holding[i];
        TRY(fetch(r, i, root));
        if (r->comm->rank == root && list->folder &&
            array_cache_has(list->folder, list->kind, list->items[i].key))
            r->apart[0] = 1;
        if (s == SODA_OK && takes(r, i)) s = take(r, i);
        pulse_beat();
    }
    return comm_agree_flags(r->comm, s, r->apart, 2);
}

/* Once per process: lists follow each other, and share their caches. */
static void say_apart(const spread_round *r)
{
    static atomic_bool said; /* ranks of tests are threads */
    if (!said && r->apart[0] && r->apart[1])
        log_info(
            "the ranks do not share one cache (SODA_CACHE, --cache): what one of them has made "
            "is sent to the others, and stored in their caches too");
    if (r->apart[0] && r->apart[1]) said = true;
}

/* Collective. */
static soda_status run_round(spread_round r)
{
    const int64_t count = r.list->count;
    soda_status s;
    r.lacking = calloc(4 * (size_t)count + 1, sizeof *r.lacking);
    s = r.lacking ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for a list of %s", r.list->kind);
    if (r.lacking) {
        r.holding = r.lacking + count;
        r.most = r.holding + count;
        r.least = r.most + count;
        s = look(&r);
    }
    TRY_TO(done, comm_agree(r.comm, s));
    if (!r.lacking) return SODA_ERR_MEMORY; /* comm_agree said so */
    TRY_TO(done, r.comm->max_i64(r.comm, r.lacking, 4 * count));
    for (int64_t i = 0; i < count; i++) r.list->items[i].held = r.holding[i] > 0;
    TRY_TO(done, compare(&r));
    TRY_TO(done, comm_agree(r.comm, make_buffer(&r)));
    TRY_TO(done, send_all(&r));
    say_apart(&r);
done:
    free(r.buffer);
    free(r.lacking);
    return s;
}

/* Whether each file is what the rank of `node` that checked it has: not a damaged one in a folder
 * that takes no other. Collective. */
static soda_status find_intact(const shared_arrays *list, soda_comm *node, bool *intact)
{
    int64_t damaged = 0;
    for (int64_t i = 0; i < list->count; i++)
        damaged |=
            list->items[i].refused && array_cache_has(list->folder, list->kind, list->items[i].key);
    TRY(node->max_i64(node, &damaged, 1));
    *intact = !damaged;
    return SODA_OK;
}

soda_status spread_arrays(shared_arrays *list, soda_comm *comm)
{
    soda_comm *node = comm->node;
    char path[4096] = "";
    bool one = false;
    if (list->folder && path_in(path, sizeof path, list->folder, "%s", list->kind) != SODA_OK) {
        path[0] = '\0';
        status_clear();
    }
    TRY(one_folder(node, path, &one));
    spread_round parts = {.list = list, .comm = comm, .step = 1, .store = true};
    if (one) parts.first = node->rank, parts.step = node->size;
    TRY(run_round(parts));
    if (one) TRY(find_intact(list, node, &list->checked));
    /* what the node's other ranks do not find now could not be stored */
    const soda_status s =
        run_round((spread_round){.list = list, .comm = comm, .step = 1, .again = true});
    list->checked = false; /* not what is made from here on */
    return s;
}
