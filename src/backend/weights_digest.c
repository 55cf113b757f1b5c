/* weights_digest.c: what ranks compare before they share forms. */
#include <string.h>

#include "backend/weights.h"

static soda_status add(soda_sha256 *sum, const weights_entry *entry, const uint64_t *numbers,
                       size_t bytes)
{
    TRY(sha256_update(sum, entry->weight.name, strlen(entry->weight.name) + 1));
    return sha256_update(sum, numbers, bytes);
}

soda_status weights_digest_layout(const soda_weights *weights, uint8_t hash[SHA256_BYTES])
{
    soda_sha256 *sum;
    soda_status s;
    TRY(sha256_create(&sum));
    for (int i = 0; i < weights->entry_count; i++) {
        const weights_entry *e = &weights->entries[i];
        const uint64_t numbers[] = {e->form.form, e->form.bytes};
        TRY_TO(done, add(sum, e, numbers, sizeof numbers));
    }
    TRY_TO(done, sha256_finish(sum, hash));
done:
    sha256_destroy(sum);
    return s;
}

soda_status weights_digest_schedule(const soda_weights *weights, uint8_t hash[SHA256_BYTES])
{
    soda_sha256 *sum;
    soda_status s;
    TRY(sha256_create(&sum));
    for (int v = 0; v < weights->visit_count; v++) {
        const weights_visit *visit = &weights->visits[v];
        for (int u = visit->first_use; u < visit->first_use + visit->uses; u++) {
            const weights_use *use = &weights->uses[u];
            const weights_entry *e = &weights->entries[use->entry];
            const uint64_t numbers[] = {(uint64_t)v,  (uint64_t)use->step,
                                        e->form.form, e->form.bytes,
                                        use->at,      visit->bytes};
            TRY_TO(done, add(sum, e, numbers, sizeof numbers));
        }
    }
    TRY_TO(done, sha256_finish(sum, hash));
done:
    sha256_destroy(sum);
    return s;
}
