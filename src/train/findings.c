#include "train/findings.h"

#include <stdlib.h>

static size_t bytes_of(int64_t additions)
{
    return sizeof(step_found) + (size_t)additions * sizeof(update_found);
}

soda_status findings_create(soda_device *device, int64_t most, soda_findings *f)
{
    *f = (soda_findings){.device = device, .most = most};
    f->host = calloc(1, bytes_of(most));
    if (!f->host) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(device->alloc(device, bytes_of(most), (void **)&f->at));
    return device->clear(device, f->at, bytes_of(most)); /* all of it is read, padding too */
}

void findings_destroy(soda_findings *f)
{
    if (f->device) f->device->release(f->device, f->at);
    free(f->host);
    *f = (soda_findings){0};
}

soda_status findings_clear(soda_findings *f)
{
    return f->device->clear(f->device, &f->at->count, sizeof f->at->count);
}

update_notes findings_notes(const soda_findings *f)
{
    return (update_notes){f->at->added, &f->at->count};
}

soda_status findings_read(soda_findings *f, int64_t count)
{
    return f->device->download(f->device, f->host, f->at, bytes_of(count));
}

int64_t findings_refused(const soda_findings *f, int64_t count)
{
    int64_t i = 0;
    while (i < count && f->host->added[i].where < 0) i++;
    return i < count ? i : -1;
}
