/* sharded.c: forms that a group of ranks holds between them: an equal slice of each on every rank,
 * and a ring where a thread puts them together ahead of their use. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fill_order.h"
#include "backend/gatherer.h"
#include "backend/residency.h"
#include "backend/ring.h"
#include "backend/slices.h"
#include "core/log.h"
#include "core/round.h"
#include "core/sha256.h"

/* A visit is one meeting of the ranks: 10 ms of copying. A ring holds some visits, so that one is
 * gathered while another is used. Measured on SD 1.5: docs/cluster.md. */
enum { RING_BYTES = SHARDED_RING_MIB << 20, VISITS_PER_RING = 4 };

typedef struct {
    size_t bytes;
    bool cut;         /* else all of it is on every rank */
    slices_part part; /* of each rank */
} item;

typedef struct {
    soda_residency base;
    soda_device *device;
    soda_comm *comm, *group;
    size_t ring_wanted, ring_bytes, whole_bytes;
    char *ring; /* the newest one */
    form_table table;
    item *items;
    int item_count;
    soda_slices slices;
    void **rings; /* all of them */
    int ring_count;
    uint8_t (*seen)[SHA256_BYTES]; /* of the networks that were filled */
    int seen_count;
    soda_gatherer *gatherer;
    size_t gathered_bytes;
    double gather_s;
} sharded;

static int find(const sharded *r, const weights_entry *entry)
{
    return form_table_find(&r->table, entry->weight.name, entry->form.form);
}

/* Of each rank, for an entry; 0 if it is not cut. */
static size_t slice_of(const sharded *r, const weights_entry *entry)
{
    const size_t ranks = (size_t)r->group->size;
    if (!weights_is_cut(&entry->weight)) return 0;
    return device_align(r->device, (entry->form.bytes + ranks - 1) / ranks);
}

/* What an entry takes for good on this rank. */
static size_t kept_bytes(const sharded *r, const weights_entry *entry)
{
    const size_t slice = slice_of(r, entry);
    return slice ? slice : device_align(r->device, entry->form.bytes);
}

static size_t missing_entries(const sharded *r, const soda_weights *weights)
{
    size_t bytes = 0;
    for (int i = 0; i < weights->entry_count; i++)
        if (find(r, &weights->entries[i]) < 0) bytes += kept_bytes(r, &weights->entries[i]);
    return bytes;
}

/* The ring is counted as the largest that will be chosen. */
static size_t missing(const soda_residency *base, const soda_weights *weights)
{
    const sharded *r = (const sharded *)base;
    const size_t entries = missing_entries(r, weights);
    if (r->ring || entries == 0) return entries;
    return entries + (r->ring_wanted ? r->ring_wanted : RING_BYTES);
}

static soda_status add_ring(sharded *r, size_t bytes)
{
    void **grown = realloc(r->rings, ((size_t)r->ring_count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->rings = grown;
    TRY(r->device->alloc(r->device, bytes, (void **)&r->ring));
    r->rings[r->ring_count++] = r->ring;
    r->ring_bytes = bytes;
    r->base.bytes += bytes;
    return SODA_OK;
}

/* A ring that is large enough for the visits, if there is none yet. */
static soda_status choose_ring(sharded *r, const soda_weights *weights, const size_t *room)
{
    const size_t least = ring_least(weights, room), most = ring_most(weights, room);
    size_t bytes = r->ring_wanted;
    if (bytes && bytes < least)
        return FAIL(SODA_ERR_INPUT,
                    "parallel.ring: expected at least %.3f MiB, which one operator of this model "
                    "needs, found %.3f",
                    (double)round_up(least, 1024) / 0x1p20 + 5e-4, (double)bytes / 0x1p20);
    if (r->ring && r->ring_bytes >= least) return SODA_OK;
    if (!bytes)
        bytes = least + WEIGHTS_VISIT_BYTES > RING_BYTES ? least + WEIGHTS_VISIT_BYTES : RING_BYTES;
    if (bytes > most) bytes = most;
    if (bytes == 0) return SODA_OK;
    return add_ring(r, bytes);
}

/* Cuts the uses into visits and gives them their places in the ring. */
static soda_status make_schedule(sharded *r, soda_weights *weights)
{
    const size_t part = r->ring_wanted / VISITS_PER_RING;
    size_t *room = malloc(((size_t)weights->entry_count + 1) * sizeof *room);
    soda_status s = SODA_OK;
    if (!room) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < weights->entry_count; i++)
        room[i] = slice_of(r, &weights->entries[i]) * (size_t)r->group->size;
    if (part && part < WEIGHTS_VISIT_BYTES) TRY_TO(done, weights_cut(weights, part));
    TRY_TO(done, choose_ring(r, weights, room));
    ring_place(weights, room, r->ring_bytes);
    weights->ring = r->ring;
done:
    free(room);
    return s;
}

/* Ranks that would gather something else would wait for ever, or compute nonsense. */
static soda_status digest(const soda_weights *weights, uint8_t hash[SHA256_BYTES])
{
    soda_sha256 *sum;
    soda_status s;
    TRY(sha256_create(&sum));
    for (int v = 0; v < weights->visit_count; v++) {
        const weights_visit *visit = &weights->visits[v];
        for (int u = visit->first_use; u < visit->first_use + visit->uses; u++) {
            const weights_use *use = &weights->uses[u];
            const weights_entry *e = &weights->entries[use->entry];
            const uint64_t numbers[] = {(uint64_t)v, (uint64_t)use->step, e->form.form,
                                        e->form.bytes, use->at};
            TRY_TO(done, sha256_update(sum, e->weight.name, strlen(e->weight.name) + 1));
            TRY_TO(done, sha256_update(sum, numbers, sizeof numbers));
        }
    }
    TRY_TO(done, sha256_finish(sum, hash));
done:
    sha256_destroy(sum);
    return s;
}

static bool was_seen(const sharded *r, const uint8_t hash[SHA256_BYTES])
{
    for (int i = 0; i < r->seen_count; i++)
        if (memcmp(r->seen[i], hash, SHA256_BYTES) == 0) return true;
    return false;
}

/* Lists for what a fill adds, and room to make one of the entries whole. */
static soda_status make_room(sharded *r, const soda_weights *weights, char **whole)
{
    const size_t most = (size_t)r->item_count + (size_t)weights->entry_count + 1;
    size_t largest = 0;
    item *items = realloc(r->items, most * sizeof *items);
    if (items) r->items = items;
    void *seen = realloc(r->seen, ((size_t)r->seen_count + 1) * SHA256_BYTES);
    if (seen) r->seen = seen;
    if (!items || !seen) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < weights->entry_count; i++) {
        const size_t slice = slice_of(r, &weights->entries[i]);
        if (slice > INT_MAX)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: too large to be sent",
                        weights->entries[i].weight.name);
        if (slice * (size_t)r->group->size > largest) largest = slice * (size_t)r->group->size;
    }
    return r->device->alloc(r->device, largest + 1, (void **)whole);
}

/* Gives the entries that are missing their places in the next block; lists them. */
static soda_status place(sharded *r, const soda_weights *weights, int *added)
{
    int count = 0;
    size_t at = 0;
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *entry = &weights->entries[i];
        const int old = find(r, entry);
        if (old >= 0) TRY(weights_check_form(entry, r->items[old].bytes));
        if (old >= 0) continue;
        TRY(form_table_add(&r->table, entry->weight.name, entry->form.form, r->item_count));
        const size_t slice = slice_of(r, entry);
        r->items[r->item_count++] =
            (item){entry->form.bytes, slice > 0, {r->slices.count, at, slice}};
        r->whole_bytes += device_align(r->device, entry->form.bytes);
        at += kept_bytes(r, entry);
        added[count++] = i;
    }
    added[count] = -1;
    return SODA_OK;
}

/* The largest first. */
static soda_status sort_added(const sharded *r, const soda_weights *weights, int *added)
{
    size_t *slices = malloc(((size_t)weights->entry_count + 1) * sizeof *slices);
    if (!slices) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < weights->entry_count; i++) slices[i] = slice_of(r, &weights->entries[i]);
    const soda_status s = fill_order_sort(slices, added);
    free(slices);
    return s;
}

/* Makes the listed entries, each on one rank of the group, as many at a time as it has ranks, and
 * sends every rank its part. A rank that fails goes on: the others wait for what it sends. */
static soda_status make_forms(sharded *r, const soda_weights *weights, const int *added,
                              char *whole)
{
    soda_comm *group = r->group;
    soda_status s = SODA_OK;
    for (int first = 0, turn = 0; added[first] >= 0; turn++) {
        int count = 0;
        while (count < group->size && added[first + count] >= 0) count++;
        const int mine = fill_order_place(group->size, turn, group->rank);
        if (mine < count) {
            const weights_entry *own = &weights->entries[added[first + mine]];
            const item *to = &r->items[find(r, own)];
            if (s == SODA_OK)
                s = weights_make(own, to->cut ? whole : slices_own(&r->slices, &to->part));
        }
        for (int i = 0; i < count; i++) {
            const item *to = &r->items[find(r, &weights->entries[added[first + i]])];
            const int owner = fill_order_place(group->size, turn, i); /* its own inverse */
            char *data = slices_own(&r->slices, &to->part);
            const soda_status sent = to->cut ? slices_send(&r->slices, &to->part, whole, owner)
                                             : group->broadcast(group, data, to->bytes, owner);
            if (s == SODA_OK) s = sent;
        }
        first += count;
    }
    return s;
}

/* Collective. */
static soda_status fill_missing(sharded *r, soda_weights *weights, const uint8_t hash[SHA256_BYTES],
                                soda_status s)
{
    char *whole = NULL;
    const size_t bytes = missing_entries(r, weights);
    int *added = calloc((size_t)weights->entry_count + 1, sizeof *added);
    if (s == SODA_OK && !added) s = FAIL(SODA_ERR_MEMORY, "out of memory");
    if (s == SODA_OK) s = make_room(r, weights, &whole);
    if (s == SODA_OK) s = place(r, weights, added);
    if (s == SODA_OK && added) s = sort_added(r, weights, added);
    TRY_TO(done, comm_agree(r->comm, s));
    TRY_TO(done, comm_agree_same(r->comm, hash, SHA256_BYTES, "the schedule of sharded weights"));
    if (bytes > 0) TRY_TO(done, comm_agree_after(r->comm, r->group, slices_add(&r->slices, bytes)));
    r->base.bytes += bytes;
    if (added) TRY_TO(done, comm_agree(r->comm, make_forms(r, weights, added, whole)));
    memcpy(r->seen[r->seen_count++], hash, SHA256_BYTES);
done:
    r->device->release(r->device, whole);
    free(added);
    return s;
}

static soda_status fill(soda_residency *base, soda_weights *weights)
{
    sharded *r = (sharded *)base;
    uint8_t hash[SHA256_BYTES] = {0};
    soda_status s = make_schedule(r, weights);
    if (s == SODA_OK) s = digest(weights, hash);
    if (s == SODA_OK && was_seen(r, hash) && missing_entries(r, weights) == 0) return SODA_OK;
    if (base->sealed && s == SODA_OK)
        s = FAIL(SODA_ERR_INTERNAL, "sharded weights: a network that no rank filled before");
    if (base->sealed) return s;
    return fill_missing(r, weights, hash, s);
}

static void *address(const soda_residency *base, const soda_weights *weights, int use)
{
    const sharded *r = (const sharded *)base;
    const int found = find(r, &weights->entries[weights->uses[use].entry]);
    if (found < 0) return NULL;
    return r->items[found].cut ? weights->ring + weights->uses[use].at
                               : slices_own(&r->slices, &r->items[found].part);
}

/* Puts the forms of a visit together: those that are new lie one behind the other. */
static soda_status fetch(void *context, const soda_weights *weights, int visit)
{
    sharded *r = context;
    const weights_visit *v = &weights->visits[visit];
    size_t at = v->at;
    if (v->bytes == 0) return SODA_OK;
    TRY(slices_meet(&r->slices));
    const double start_s = log_seconds();
    for (int u = v->first_use; u < v->first_use + v->uses; u++) {
        const weights_use *use = &weights->uses[u];
        const item *form = &r->items[find(r, &weights->entries[use->entry])];
        if (!form->cut || use->at != at) continue;
        TRY(slices_gather(&r->slices, &form->part, weights->ring + at));
        at += form->part.bytes * (size_t)r->group->size;
    }
    r->gather_s += log_seconds() - start_s;
    r->gathered_bytes += v->bytes;
    return SODA_OK;
}

static void start(soda_residency *base, const soda_weights *weights, int visit)
{
    gatherer_start(((sharded *)base)->gatherer, weights, visit);
}

static soda_status need(soda_residency *base, const soda_weights *weights, int visit)
{
    (void)weights;
    return gatherer_need(((sharded *)base)->gatherer, visit);
}

static void done(soda_residency *base, const soda_weights *weights, int visit)
{
    (void)weights;
    gatherer_done(((sharded *)base)->gatherer, visit);
}

/* Between runs, when the thread sleeps. */
static void report(const soda_residency *base, residency_report *report)
{
    const sharded *r = (const sharded *)base;
    *report = (residency_report){.ranks = r->group->size,
                                 .whole_bytes = r->whole_bytes,
                                 .ring_bytes = r->ring_bytes,
                                 .gathered_bytes = r->gathered_bytes,
                                 .gather_s = r->gather_s,
                                 .wait_s = gatherer_waited_s(r->gatherer)};
}

static void close_sharded(soda_residency *base)
{
    sharded *r = (sharded *)base;
    gatherer_destroy(r->gatherer);
    slices_free(&r->slices);
    for (int i = 0; i < r->ring_count; i++) r->device->release(r->device, r->rings[i]);
    if (r->group) r->group->leave(r->group);
    form_table_free(&r->table);
    free(r->rings);
    free(r->items);
    free(r->seen);
    free(r);
}

static soda_status open_group(sharded *r, const sharded_options *options)
{
    TRY(comm_agree(r->comm, r->comm->split(r->comm, options->ranks, &r->group)));
    slices_start(&r->slices, r->device, r->group);
    return comm_agree(r->comm, gatherer_create(fetch, r, &r->gatherer));
}

soda_status sharded_create(soda_device *device, soda_comm *comm, const sharded_options *options,
                           soda_residency **residency)
{
    sharded *r = calloc(1, sizeof *r);
    soda_status s = r ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    *residency = NULL;
    if (s == SODA_OK && !device->host)
        s = FAIL(SODA_ERR_UNSUPPORTED,
                 "parallel.weights: shard: the memory of %s is not the host's: use replicate",
                 device->name);
    s = comm_agree(comm, s);
    if (s != SODA_OK || !r) {
        free(r);
        return s;
    }
    *r = (sharded){.base = {.sharers = 1,
                            .rebuilds = true,
                            .missing = missing,
                            .fill = fill,
                            .address = address,
                            .start = start,
                            .need = need,
                            .done = done,
                            .report = report,
                            .close = close_sharded},
                   .device = device,
                   .comm = comm,
                   .ring_wanted = options->ring_bytes / 64 * 64};
    s = open_group(r, options);
    if (s != SODA_OK)
        close_sharded(&r->base);
    else
        *residency = &r->base;
    return s;
}
