/* resident.c: every form of every weight has memory of its own, one block for each fill. */
#include <stdlib.h>

#include "backend/residency.h"
#include "core/arena.h"

typedef struct {
    size_t bytes;
    void *data;
} item;

typedef struct {
    soda_residency base;
    soda_device *device;
    form_table table;
    item *items;
    void **blocks;
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

/* Room in the lists for the entries of `weights`, and a block for those that are missing. */
static soda_status make_room(resident *r, const soda_weights *weights, size_t bytes, char **block)
{
    const size_t most = (size_t)r->item_count + (size_t)weights->entry_count;
    item *items = realloc(r->items, most * sizeof *items);
    if (items) r->items = items;
    void **blocks = realloc(r->blocks, ((size_t)r->block_count + 1) * sizeof *blocks);
    if (blocks) r->blocks = blocks;
    if (!items || !blocks) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(r->device->alloc(r->device, bytes, (void **)block));
    r->blocks[r->block_count++] = *block;
    r->base.bytes += bytes;
    return SODA_OK;
}

/* Makes a form in place, or on the host first if the host cannot write to the device. */
static soda_status make(const resident *r, const weights_entry *entry, void *to)
{
    void *form = r->device->host ? to : aligned_alloc(64, (entry->form.bytes + 63) / 64 * 64);
    if (!form) return FAIL(SODA_ERR_MEMORY, "out of memory: %s", entry->weight.name);
    soda_status s = entry->form.fill(&entry->weight, entry->form.recipe, form);
    if (entry->weight.mapped)
        arena_drop_pages(entry->weight.source.data, tensor_bytes(&entry->weight.source));
    if (form == to) return s;
    if (s == SODA_OK) s = r->device->upload(r->device, to, form, entry->form.bytes);
    free(form);
    return s;
}

static soda_status fill(soda_residency *base, const soda_weights *weights)
{
    resident *r = (resident *)base;
    const size_t bytes = missing(base, weights);
    char *at;
    if (bytes == 0) return SODA_OK;
    TRY(make_room(r, weights, bytes, &at));
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *entry = &weights->entries[i];
        const int old = find(r, entry);
        if (old >= 0 && r->items[old].bytes != entry->form.bytes)
            return FAIL(SODA_ERR_INTERNAL, "%s: form %llu has %zu bytes, %zu were asked for",
                        entry->weight.name, (unsigned long long)entry->form.form,
                        r->items[old].bytes, entry->form.bytes);
        if (old >= 0) continue;
        TRY(make(r, entry, at));
        TRY(form_table_add(&r->table, entry->weight.name, entry->form.form, r->item_count));
        r->items[r->item_count++] = (item){entry->form.bytes, at};
        at += device_align(r->device, entry->form.bytes);
    }
    return SODA_OK;
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
    for (int i = 0; i < r->block_count; i++) r->device->release(r->device, r->blocks[i]);
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
    r->base = (soda_residency){
        .missing = missing, .fill = fill, .address = address, .close = close_resident};
    *residency = &r->base;
    return SODA_OK;
}

void residency_close(soda_residency *residency)
{
    if (residency) residency->close(residency);
}
