/* resident.c: every form of every weight has memory for good, one block for each fill: of this rank
 * alone, or one copy that the ranks of a node share and make together. */
#include <stdlib.h>
#include <string.h>

#include "backend/residency.h"
#include "comm/node_memory.h"
#include "core/arena.h"
#include "core/round.h"
#include "core/sha256.h"

typedef struct {
    size_t bytes;
    void *data;
} item; /* a form, or a block of them */

typedef struct {
    soda_residency base;
    soda_device *device;
    soda_comm *comm; /* whose node's ranks share blocks; NULL: they do not */
    form_table table;
    item *items, *blocks;
    int item_count, block_count;
} resident;

static int find(const resident *r, const weights_entry *entry)
{
    return form_table_find(&r->table, entry->weight.name, entry->form.form);
}

static size_t missing(const soda_residency *base, const soda_weights *weights)
{
    const resident *r = (const resident *)base;
    size_t bytes = 0;
    for (int i = 0; i < weights->entry_count; i++)
        if (find(r, &weights->entries[i]) < 0)
            bytes += device_align(r->device, weights->entries[i].form.bytes);
    return bytes;
}

/* Room in the lists for the entries of `weights`. */
static soda_status grow_lists(resident *r, const soda_weights *weights)
{
    const size_t most = (size_t)r->item_count + (size_t)weights->entry_count;
    item *items = realloc(r->items, most * sizeof *items);
    if (items) r->items = items;
    item *blocks = realloc(r->blocks, ((size_t)r->block_count + 1) * sizeof *blocks);
    if (blocks) r->blocks = blocks;
    return items && blocks ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

/* A block that the ranks of a node share: the same places must mean the same to all. */
static soda_status share_room(resident *r, const soda_weights *weights, size_t bytes, void **block)
{
    uint8_t hash[SHA256_BYTES] = {0};
    TRY(comm_agree(r->comm, weights_digest_layout(weights, hash)));
    TRY(comm_agree_same(r->comm, hash, sizeof hash, "the layout of shared weights"));
    if (r->base.bytes == 0) r->base.peak_before = arena_peak_rss_bytes();
    return node_memory_open(r->comm, bytes, block);
}

/* A block for the entries that are missing. */
static soda_status make_room(resident *r, const soda_weights *weights, size_t bytes, char **block)
{
    const soda_status s = grow_lists(r, weights);
    TRY(r->comm ? comm_agree(r->comm, s) : s);
    TRY(r->comm ? share_room(r, weights, bytes, (void **)block)
                : r->device->alloc(r->device, bytes, (void **)block));
    r->blocks[r->block_count++] = (item){bytes, *block};
    r->base.bytes += bytes;
    return SODA_OK;
}

/* Makes a form in place, or on the host first if the host cannot write to the device. */
static soda_status make(const resident *r, const weights_entry *entry, void *to)
{
    void *form = r->device->host ? to : aligned_alloc(64, whole_lines(entry->form.bytes));
    if (!form) return FAIL(SODA_ERR_MEMORY, "out of memory: %s", entry->weight.name);
    soda_status s = residency_make_form(entry, form);
    if (form == to) return s;
    if (s == SODA_OK) s = r->device->upload(r->device, to, form, entry->form.bytes);
    free(form);
    return s;
}

/* Whether this rank makes what lies in the middle of the block's bytes `from` .. `to`: each rank of
 * a node has an equal part of the block. */
static bool is_own(const resident *r, size_t from, size_t to)
{
    const item *block = &r->blocks[r->block_count - 1];
    if (!r->comm) return true;
    const soda_comm *node = r->comm->node;
    return part_of_middle(from, to, block->bytes, node->size) == node->rank;
}

/* Gives the entries that are missing their places in the newest block and makes the forms. */
static soda_status make_forms(resident *r, const soda_weights *weights)
{
    char *block = r->blocks[r->block_count - 1].data;
    size_t at = 0;
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *entry = &weights->entries[i];
        const int old = find(r, entry);
        if (old >= 0) TRY(residency_check_form(entry, r->items[old].bytes));
        if (old >= 0) continue;
        const size_t end = at + device_align(r->device, entry->form.bytes);
        if (is_own(r, at, end)) TRY(make(r, entry, block + at));
        TRY(form_table_add(&r->table, entry->weight.name, entry->form.form, r->item_count));
        r->items[r->item_count++] = (item){entry->form.bytes, block + at};
        at = end;
    }
    return SODA_OK;
}

static soda_status fill(soda_residency *base, soda_weights *weights)
{
    resident *r = (resident *)base;
    const size_t bytes = missing(base, weights);
    char *block;
    if (bytes == 0) return SODA_OK;
    TRY(make_room(r, weights, bytes, &block));
    const soda_status s = make_forms(r, weights);
    if (!r->comm) return s;
    TRY(comm_agree(r->comm, s)); /* from now on all forms are whole */
    return comm_agree(r->comm, node_memory_protect(block, bytes));
}

static void *address(const soda_residency *base, const soda_weights *weights, int use)
{
    const resident *r = (const resident *)base;
    const int found = find(r, &weights->entries[weights->uses[use].entry]);
    return found < 0 ? NULL : r->items[found].data;
}

static void close_resident(soda_residency *base)
{
    resident *r = (resident *)base;
    for (int i = 0; i < r->block_count; i++)
        if (r->comm)
            node_memory_close(r->blocks[i].data, r->blocks[i].bytes);
        else
            r->device->release(r->device, r->blocks[i].data);
    form_table_free(&r->table);
    free(r->items);
    free(r->blocks);
    free(r);
}

soda_status resident_create(soda_device *device, soda_residency **residency)
{
    resident *r = calloc(1, sizeof *r);
    *residency = NULL;
    if (!r) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->device = device;
    r->base = (soda_residency){.sharers = 1,
                               .missing = missing,
                               .fill = fill,
                               .address = address,
                               .close = close_resident};
    *residency = &r->base;
    return SODA_OK;
}

soda_status resident_create_shared(soda_device *device, soda_comm *comm, soda_residency **residency)
{
    *residency = NULL;
    if (!device->host)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "parallel.weights: node: the memory of %s cannot be shared: use replicate or "
                    "shard",
                    device->name);
    TRY(resident_create(device, residency));
    ((resident *)*residency)->comm = comm;
    (*residency)->sharers = comm->node->size;
    return SODA_OK;
}
