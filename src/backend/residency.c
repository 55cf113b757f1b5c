/* What all stores of weights do alike. */
#include "backend/residency.h"

#include "core/arena.h"
#include "core/pulse.h"

soda_status residency_make_form(const weights_entry *entry, void *form)
{
    pulse_beat();
    const soda_status s = entry->form.fill(&entry->weight, entry->form.recipe, form);
    if (entry->weight.mapped)
        arena_drop_pages(entry->weight.source.data, tensor_bytes(&entry->weight.source));
    return s;
}

soda_status residency_check_form(const weights_entry *entry, size_t bytes)
{
    if (bytes == entry->form.bytes) return SODA_OK;
    return FAIL(SODA_ERR_INTERNAL, "%s: form %llu has %zu bytes, %zu were asked for",
                entry->weight.name, (unsigned long long)entry->form.form, bytes, entry->form.bytes);
}

size_t residency_peak_bytes(const soda_residency *residency)
{
    const size_t elsewhere = residency->bytes - residency_share(residency, 0);
    const size_t mapped = arena_peak_rss_bytes(); /* all of what is shared, too */
    const size_t least = residency->peak_before;
    return mapped > least + elsewhere ? mapped - elsewhere : least;
}

void residency_close(soda_residency *residency)
{
    if (residency) residency->close(residency);
}
