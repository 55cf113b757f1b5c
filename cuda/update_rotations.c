#include <stdlib.h>

#include "cuda/gpu.h"
#include "cuda/launch.h"
#include "cuda/update.h"

struct update_rotations {
    int64_t count;
    /* on the device */
    rotation *list;
    float *room;   /* scratch of all matrices */
    double *drift; /* by matrix */
};

void update_rotations_close(soda_device *d, update_rotations *r)
{
    if (!r) return;
    d->release(d, r->list);
    d->release(d, r->drift);
    d->release(d, r->room);
    free(r);
}

/* The list as kernels read it, with scratch for each matrix. */
static soda_status upload_list(soda_device *d, update_rotations *r, const stiefel_f32 *matrices)
{
    size_t floats = 0;
    for (int64_t i = 0; i < r->count; i++) floats += ROTATION_ROOM(matrices[i].n, matrices[i].m);
    TRY(d->alloc(d, floats * sizeof(float), (void **)&r->room));
    rotation *list = calloc((size_t)r->count, sizeof *list);
    if (!list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    float *room = r->room;
    for (int64_t i = 0; i < r->count; i++) {
        const stiefel_f32 *x = &matrices[i];
        list[i] = (rotation){x->n, x->m, x->X, x->G, x->Y, x->p, x->V, x->pV, room};
        room += ROTATION_ROOM(x->n, x->m);
    }
    const soda_status s = d->upload(d, r->list, list, (size_t)r->count * sizeof *list);
    free(list);
    return s;
}

soda_status update_rotations_open(soda_device *d, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations)
{
    const size_t n = (size_t)count;
    soda_status s = SODA_OK;
    update_rotations *r = *rotations = calloc(1, sizeof *r);
    if (!r) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->count = count;
    if (count == 0) return SODA_OK;
    TRY_TO(failed, d->alloc(d, n * sizeof *r->list, (void **)&r->list));
    TRY_TO(failed, d->alloc(d, n * sizeof *r->drift, (void **)&r->drift));
    TRY_TO(failed, upload_list(d, r, matrices));
    return SODA_OK;
failed:
    update_rotations_close(d, r);
    *rotations = NULL;
    return s;
}

soda_status update_rotations_step(soda_device *d, update_rotations *r, const stiefel_rule *rule,
                                  const double *norm, double *drift)
{
    const unsigned count = (unsigned)r->count;
    if (count == 0) return d->clear(d, drift, sizeof *drift);
    GPU_TRY(launch_rotations_step(rule, r->list, count, norm, r->drift, gpu_stream()));
    GPU_TRY(launch_largest(r->drift, r->count, drift, gpu_stream()));
    return SODA_OK;
}
