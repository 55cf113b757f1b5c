#include "backend/recorded.h"

soda_status recorded_queue(recorded_work *r, soda_device *d, const device_work *works, int count)
{
    if (!d->record || !r->queued) {
        for (int i = 0; i < count; i++) TRY(works[i].queue(works[i].context));
        r->queued = true;
        return SODA_OK;
    }
    if (!r->recording) TRY(d->record(d, works, count, &r->recording));
    return d->replay(d, r->recording);
}

void recorded_forget(recorded_work *r, soda_device *d)
{
    if (r->recording) d->forget(d, r->recording);
    *r = (recorded_work){0};
}
