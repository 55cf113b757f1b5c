#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fill_order.h"
#include "backend/gatherer.h"
#include "backend/ring.h"
#include "backend/sharded_stores.h"
#include "backend/slices.h"
#include "core/log.h"

typedef struct {
    size_t bytes;
    bool cut;         /* else all of it is on every rank */
    slices_part part; /* of each rank */
} item;

typedef struct {
    soda_residency base;
    soda_device *device;
    soda_comm *comm, *group;
    ring_budget budget;
    size_t ring_bytes, whole_bytes;
    char *ring; /* the newest one */
    form_table table;
    item *items;
    int item_count, parts_most, ring_count, seen_count;
    soda_slices slices;
    void **rings;                  /* all of them */
    uint8_t (*seen)[SHA256_BYTES]; /* of the networks that were filled */
    soda_lane *lane;               /* NULL: a thread gathers */
    soda_gatherer *gatherer;
    comm_parts *parts; /* for the lane: room for those of a visit */
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
    if (!weights_is_cut(&entry->weight) || ring_keeps(&r->budget, entry)) return 0;
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
    if (r->budget.bytes || entries == 0) return entries;
    return entries + (r->budget.wanted ? r->budget.wanted : r->budget.usual);
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
static soda_status choose_ring(sharded *r, const soda_weights *weights, size_t *room)
{
    size_t bytes = r->ring_bytes;
    TRY(ring_fit(&r->budget, weights, room, r->group->size, &bytes));
    return bytes > r->ring_bytes ? add_ring(r, bytes) : SODA_OK;
}

/* Cuts the uses into visits and gives them their places in the ring. */
static soda_status make_schedule(sharded *r, soda_weights *weights)
{
    size_t *room = malloc(((size_t)weights->entry_count + 1) * sizeof *room);
    soda_status s = SODA_OK;
    if (!room) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < weights->entry_count; i++)
        room[i] = slice_of(r, &weights->entries[i]) * (size_t)r->group->size;
    TRY_TO(done, ring_cut(weights, r->budget.wanted));
    TRY_TO(done, choose_ring(r, weights, room));
    ring_place(weights, room, r->ring_bytes);
    weights->ring = r->ring;
done:
    free(room);
    return s;
}

static bool was_seen(const sharded *r, const uint8_t hash[SHA256_BYTES])
{
    for (int i = 0; i < r->seen_count; i++)
        if (memcmp(r->seen[i], hash, SHA256_BYTES) == 0) return true;
    return false;
}

/* Lists for what a fill adds; *largest: bytes of the largest entry, with the rest of its slices. */
static soda_status make_lists(sharded *r, const soda_weights *weights, size_t *largest)
{
    const size_t most = (size_t)r->item_count + (size_t)weights->entry_count + 1;
    item *items = realloc(r->items, most * sizeof *items);
    if (items) r->items = items;
    void *seen = realloc(r->seen, ((size_t)r->seen_count + 1) * SHA256_BYTES);
    if (seen) r->seen = seen;
    if (!items || !seen) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < weights->entry_count; i++) {
        const size_t slice = slice_of(r, &weights->entries[i]);
        const size_t bytes =
            slice ? slice * (size_t)r->group->size : weights->entries[i].form.bytes;
        if (slice > INT_MAX)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: too large to be sent",
                        weights->entries[i].weight.name);
        if (bytes > *largest) *largest = bytes;
    }
    return SODA_OK;
}

/* Room on the host for one of the entries that are missing, and for what is received of one. */
static soda_status make_room(sharded *r, const soda_weights *weights, char **whole)
{
    soda_device *host = device_host();
    size_t largest = 1;
    TRY(make_lists(r, weights, &largest));
    TRY(host->alloc(host, largest, (void **)whole));
    return r->device->host ? SODA_OK : host->alloc(host, largest, (void **)&r->slices.stage);
}

/* Gives the entries that are missing their places in the next block; lists them. */
static soda_status place(sharded *r, const soda_weights *weights, int *added)
{
    int count = 0;
    size_t at = 0;
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *entry = &weights->entries[i];
        const int old = find(r, entry);
        if (old >= 0) TRY(residency_check_form(entry, r->items[old].bytes));
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
        if (mine < count && s == SODA_OK)
            s = residency_make_form(&weights->entries[added[first + mine]], whole);
        for (int i = 0; i < count; i++) {
            const item *to = &r->items[find(r, &weights->entries[added[first + i]])];
            const int owner = fill_order_place(group->size, turn, i); /* its own inverse */
            const soda_status sent =
                to->cut ? slices_send(&r->slices, &to->part, whole, owner)
                        : slices_copy(&r->slices, &to->part, to->bytes, whole, owner);
            if (s == SODA_OK) s = sent;
        }
        first += count;
    }
    const soda_status there = r->device->wait(r->device); /* the lane does not wait for it */
    return s == SODA_OK ? there : s;
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
    device_host()->release(device_host(), whole);
    device_host()->release(device_host(), r->slices.stage);
    r->slices.stage = NULL;
    free(added);
    return s;
}

static soda_status reserve(sharded *r, const soda_weights *weights)
{
    TRY(r->gatherer->reserve(r->gatherer, weights->visit_count));
    if (weights->use_count <= r->parts_most) return SODA_OK;
    comm_parts *grown = realloc(r->parts, (size_t)weights->use_count * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->parts = grown;
    r->parts_most = weights->use_count;
    return SODA_OK;
}

static soda_status fill(soda_residency *base, soda_weights *weights)
{
    sharded *r = (sharded *)base;
    uint8_t hash[SHA256_BYTES] = {0};
    soda_status s = make_schedule(r, weights);
    if (s == SODA_OK) s = reserve(r, weights);
    if (s == SODA_OK) s = weights_digest_schedule(weights, hash);
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

/* Lists the forms of a visit in r->parts: those that are new lie one behind the other. */
static int list_parts(sharded *r, const soda_weights *weights, const weights_visit *v)
{
    size_t at = v->at;
    int count = 0;
    for (int u = v->first_use; u < v->first_use + v->uses; u++) {
        const weights_use *use = &weights->uses[u];
        const item *form = &r->items[find(r, &weights->entries[use->entry])];
        if (!form->cut || use->at != at) continue;
        r->parts[count++] =
            (comm_parts){slices_own(&r->slices, &form->part), form->part.bytes, weights->ring + at};
        at += form->part.bytes * (size_t)r->group->size;
    }
    return count;
}

static soda_status fetch(void *context, const soda_weights *weights, int visit)
{
    sharded *r = context;
    const weights_visit *v = &weights->visits[visit];
    if (v->bytes == 0) return SODA_OK;
    const int count = list_parts(r, weights, v);
    r->gathered_bytes += v->bytes;
    if (r->lane) return r->lane->gather(r->lane, visit, r->parts, count);
    TRY(r->group->meet(r->group));
    const double start_s = log_seconds();
    TRY(r->group->gather(r->group, r->parts, count));
    r->gather_s += log_seconds() - start_s;
    return SODA_OK;
}

static void start(soda_residency *base, const soda_weights *weights, int visit)
{
    soda_gatherer *g = ((sharded *)base)->gatherer;
    g->start(g, weights, visit);
}

static soda_status need(soda_residency *base, const soda_weights *weights, int visit)
{
    soda_gatherer *g = ((sharded *)base)->gatherer;
    (void)weights;
    return g->need(g, visit);
}

static void done(soda_residency *base, const soda_weights *weights, int visit)
{
    soda_gatherer *g = ((sharded *)base)->gatherer;
    (void)weights;
    g->done(g, visit);
}

/* Between runs, when the thread sleeps. */
static void report(const soda_residency *base, residency_report *report)
{
    const sharded *r = (const sharded *)base;
    *report = (residency_report){.ranks = r->group->size,
                                 .whole_bytes = r->whole_bytes,
                                 .ring_bytes = r->budget.bytes,
                                 .gathered_bytes = r->gathered_bytes,
                                 .timed = !r->lane,
                                 .gather_s = r->gather_s,
                                 .wait_s = r->gatherer->waited_s};
}

static void close_sharded(soda_residency *base)
{
    sharded *r = (sharded *)base;
    if (r->lane) r->lane->close(r->lane);
    if (r->gatherer) r->gatherer->close(r->gatherer);
    slices_free(&r->slices);
    for (int i = 0; i < r->ring_count; i++) r->device->release(r->device, r->rings[i]);
    r->group->leave(r->group);
    form_table_free(&r->table);
    form_table_free(&r->budget.kept);
    free(r->rings);
    free(r->parts);
    free(r->items);
    free(r->seen);
    free(r);
}

/* Collective. */
static soda_status open_gatherer(sharded *r, const soda_backend *backend)
{
    if (r->device->host) return comm_agree(r->comm, gatherer_create_thread(fetch, r, &r->gatherer));
    TRY(backend->open_lane(r->device, r->comm, r->group, &r->lane));
    return comm_agree(r->comm, gatherer_create_lane(r->lane, fetch, r, &r->gatherer));
}

soda_status sharded_ring_create(const soda_backend *backend, soda_comm *comm, soda_comm *group,
                                const sharded_options *options, soda_residency **residency)
{
    soda_device *device = backend->device;
    sharded *r = calloc(1, sizeof *r);
    soda_status s = comm_agree(comm, r ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory"));
    *residency = NULL;
    if (s != SODA_OK || !r) {
        free(r);
        group->leave(group);
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
                   .group = group,
                   .slices = {.device = device, .group = group},
                   .budget = {.wanted = options->ring_bytes / device->alignment * device->alignment,
                              .usual = SHARDED_RING_MIB << 20}};
    s = open_gatherer(r, backend);
    if (s != SODA_OK)
        close_sharded(&r->base);
    else
        *residency = &r->base;
    return s;
}
