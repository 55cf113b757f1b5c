#include "train/reducer.h"

#include "comm/exact.h"

static size_t bytes_of(const soda_reducer *r)
{
    return (size_t)r->count * (r->limbs ? EXACT_LIMBS * sizeof *r->limbs : sizeof *r->sum);
}

soda_status reducer_create(run_reduction kind, int64_t count, const soda_backend *backend,
                           soda_exchange *exchange, soda_reducer *r)
{
    soda_device *d = backend->device;
    *r = (soda_reducer){.kind = kind, .count = count, .backend = backend, .exchange = exchange};
    if (kind == REDUCE_EXACT)
        TRY(d->alloc(d, (size_t)count * EXACT_LIMBS * sizeof *r->limbs, (void **)&r->limbs));
    else
        TRY(d->alloc(d, (size_t)count * sizeof *r->sum, (void **)&r->sum));
    return reducer_clear(r);
}

void reducer_destroy(soda_reducer *r)
{
    if (r->backend) {
        r->backend->device->release(r->backend->device, r->limbs);
        r->backend->device->release(r->backend->device, r->sum);
    }
    *r = (soda_reducer){0};
}

soda_status reducer_clear(soda_reducer *r)
{
    soda_device *d = r->backend->device;
    return d->clear(d, r->limbs ? (void *)r->limbs : (void *)r->sum, bytes_of(r));
}

soda_status reducer_add(soda_reducer *r, const float *x, int64_t *where)
{
    const soda_update *u = r->backend->update;
    return r->limbs ? u->exact_add(r->backend->device, r->limbs, x, r->count, where)
                    : u->plain_add(r->backend->device, r->sum, x, r->count, where);
}

soda_status reducer_finish(soda_reducer *r, float factor, float *x)
{
    const soda_update *u = r->backend->update;
    if (r->limbs) {
        TRY(r->exchange->sum_i64(r->exchange, r->limbs, r->count * EXACT_LIMBS));
        return u->exact_round(r->backend->device, r->limbs, factor, x, r->count);
    }
    TRY(r->exchange->sum_f32(r->exchange, r->sum, r->count));
    return u->scale(r->backend->device, factor, r->sum, x, r->count);
}
