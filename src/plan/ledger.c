#include "plan/ledger.h"

#include <stdlib.h>

#include "backend/ring.h"

typedef struct {
    soda_residency base;
    soda_device *device;
    size_t ring_wanted;
    form_table table;
    ledger_sums sums;
} ledger;

static bool is_noted(const ledger *l, const weights_entry *entry)
{
    return form_table_find(&l->table, entry->weight.name, entry->form.form) >= 0;
}

static size_t missing(const soda_residency *base, const soda_weights *weights)
{
    const ledger *l = (const ledger *)base;
    size_t bytes = 0;
    for (int i = 0; i < weights->entry_count; i++)
        if (!is_noted(l, &weights->entries[i]))
            bytes += device_align(l->device, weights->entries[i].form.bytes);
    return bytes;
}

static soda_status fill(soda_residency *base, soda_weights *weights)
{
    ledger *l = (ledger *)base;
    TRY(ring_check(weights, l->ring_wanted));
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *entry = &weights->entries[i];
        const size_t bytes = device_align(l->device, entry->form.bytes);
        if (is_noted(l, entry)) continue;
        TRY(form_table_add(&l->table, entry->weight.name, entry->form.form, (int)l->sums.forms));
        l->sums.forms++;
        l->sums.all += bytes;
        if (!weights_is_cut(&entry->weight)) l->sums.small += bytes;
        if (bytes > l->sums.largest) l->sums.largest = bytes;
    }
    base->bytes = l->sums.all;
    return SODA_OK;
}

static void *address(const soda_residency *base, const soda_weights *weights, int use)
{
    (void)base, (void)weights, (void)use;
    return NULL;
}

static void close_ledger(soda_residency *base)
{
    ledger *l = (ledger *)base;
    form_table_free(&l->table);
    free(l);
}

soda_status ledger_create(soda_device *device, int sharers, size_t ring_wanted,
                          soda_residency **residency)
{
    ledger *l = calloc(1, sizeof *l);
    *residency = NULL;
    if (!l) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *l = (ledger){.base = {.sharers = sharers,
                           .missing = missing,
                           .fill = fill,
                           .address = address,
                           .close = close_ledger},
                  .device = device,
                  .ring_wanted = ring_wanted};
    *residency = &l->base;
    return SODA_OK;
}

ledger_sums ledger_report(const soda_residency *residency)
{
    return ((const ledger *)residency)->sums;
}
