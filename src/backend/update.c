#include "backend/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "optim/grad_clip.h"

struct update_rotations {
    stiefel_f32 *matrices;
    int64_t count;
    double *drift; /* by matrix */
    stiefel_work *work;
};

static soda_status add_exactly(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                               int64_t *where)
{
    (void)d;
    return exact_add(limbs, x, n, where);
}

static soda_status add_plainly(soda_device *d, float *sum, const float *x, int64_t n,
                               int64_t *where)
{
    (void)d;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) continue;
        *where = i;
        return FAIL(SODA_ERR_NUMERIC, "element %lld is %g", (long long)i, (double)x[i]);
    }
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
    return SODA_OK;
}

static soda_status scale(soda_device *d, float factor, const float *x, float *y, int64_t n)
{
    (void)d;
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
    return SODA_OK;
}

static soda_status round_exactly(soda_device *d, int64_t *limbs, float factor, float *x, int64_t n)
{
    exact_round(limbs, x, n);
    return scale(d, factor, x, x, n);
}

static soda_status norm(soda_device *d, const float *x, int64_t n, double *result)
{
    (void)d;
    *result = grad_clip_norm(x, n);
    return SODA_OK;
}

static void close_rotations(soda_device *d, update_rotations *r)
{
    (void)d;
    if (!r) return;
    stiefel_work_destroy(r->work);
    free(r->matrices);
    free(r->drift);
    free(r);
}

static soda_status open_rotations(soda_device *d, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations)
{
    const size_t room = (size_t)count + 1;
    int largest = 1;
    soda_status s = SODA_OK;
    update_rotations *r = *rotations = calloc(1, sizeof *r);
    if (!r) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->count = count;
    r->matrices = calloc(room, sizeof *r->matrices);
    r->drift = calloc(room, sizeof *r->drift);
    if (!r->matrices || !r->drift) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto failed;
    }
    for (int64_t i = 0; i < count; i++) {
        r->matrices[i] = matrices[i];
        if (matrices[i].n > largest) largest = matrices[i].n;
    }
    TRY_TO(failed, stiefel_work_create(largest, largest, &r->work));
    return SODA_OK;
failed:
    close_rotations(d, r);
    *rotations = NULL;
    return s;
}

static soda_status step_rotations(soda_device *d, update_rotations *r,
                                  const stiefel_options *options, int64_t t, double *drift)
{
    (void)d;
    *drift = 0;
    TRY(stiefel_step_f32(options, t, r->matrices, r->count, r->work, r->drift));
    *drift = stiefel_largest_drift(r->drift, r->count);
    return SODA_OK;
}

static soda_status step_adamw(soda_device *d, const adamw_options *options, int64_t t, int64_t n,
                              float *x, const float *g, float *m, float *v)
{
    (void)d;
    adamw_step(options, t, n, x, g, m, v);
    return SODA_OK;
}

const soda_update *update_host(void)
{
    static const soda_update host = {.exact_add = add_exactly,
                                     .plain_add = add_plainly,
                                     .exact_round = round_exactly,
                                     .scale = scale,
                                     .norm = norm,
                                     .rotations_open = open_rotations,
                                     .rotations_close = close_rotations,
                                     .rotations_step = step_rotations,
                                     .adamw = step_adamw};
    return &host;
}
