#include "train/reducer.h"

#include "comm/exact.h"

size_t reducer_bytes(run_reduction kind, int64_t count)
{
    return kind == REDUCE_EXACT ? (size_t)(count * EXACT_LIMBS + 1) * sizeof(int64_t)
                                : (size_t)count * sizeof(float);
}

soda_status reducer_create(run_reduction kind, int64_t count, const soda_backend *backend,
                           soda_exchange *exchange, soda_reducer *r)
{
    soda_device *d = backend->device;
    *r = (soda_reducer){.kind = kind, .count = count, .backend = backend, .exchange = exchange};
    void **const sums = kind == REDUCE_EXACT ? (void **)&r->limbs : (void **)&r->sum;
    TRY(d->alloc(d, reducer_bytes(kind, count), sums));
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
    return d->clear(d, r->limbs ? (void *)r->limbs : (void *)r->sum,
                    reducer_bytes(r->kind, r->count));
}

soda_status reducer_add(soda_reducer *r, const float *x, const update_notes *notes)
{
    const soda_update *u = r->backend->update;
    return r->limbs ? u->exact_add(r->backend->device, r->limbs, x, r->count, notes)
                    : u->plain_add(r->backend->device, r->sum, x, r->count, notes);
}

soda_status reducer_finish(soda_reducer *r, float factor, float *x)
{
    const soda_update *u = r->backend->update;
    if (r->limbs) {
        TRY(r->exchange->sum_i64(r->exchange, r->limbs, r->count * EXACT_LIMBS + 1));
        return u->exact_round(r->backend->device, r->limbs, factor, x, r->count);
    }
    TRY(r->exchange->sum_f32(r->exchange, r->sum, r->count));
    return u->scale(r->backend->device, factor, r->sum, x, r->count);
}
