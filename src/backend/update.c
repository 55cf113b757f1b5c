#include "backend/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "core/checksum.h"
#include "optim/grad_clip.h"

struct update_rotations {
    stiefel_f32 *matrices;
    int64_t count;
    double *drift; /* by matrix */
    stiefel_work *work;
};

struct update_vectors {
    int64_t count;
    update_vector list[];
};

static update_found *next_of(const update_notes *notes) { return &notes->list[(*notes->count)++]; }

static soda_status add_exactly(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                               const update_notes *notes)
{
    update_found *found = next_of(notes);
    (void)d;
    *found = (update_found){.where = -1, .last = x[n - 1]};
    const soda_status s = exact_add(limbs, x, n, &found->where);
    if (s == SODA_OK) return s;
    status_clear(); /* the caller learns it from *found */
    found->value = x[found->where];
    limbs[n * EXACT_LIMBS]++;
    return SODA_OK;
}

static soda_status add_plainly(soda_device *d, float *sum, const float *x, int64_t n,
                               const update_notes *notes)
{
    update_found *found = next_of(notes);
    int64_t i = 0;
    (void)d;
    *found = (update_found){.where = -1, .last = x[n - 1]};
    while (i < n && isfinite(x[i])) i++;
    if (i < n) {
        found->where = i;
        found->value = x[i];
        for (i = 0; i < n; i++) sum[i] = NAN;
        return SODA_OK;
    }
    for (i = 0; i < n; i++) sum[i] += x[i];
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
    if (limbs[n * EXACT_LIMBS] > 0) factor = NAN;
    return scale(d, factor, x, x, n);
}

static soda_status checksum(soda_device *d, const float *x, int64_t n, uint64_t *sum)
{
    (void)d;
    *sum = checksum_f32(x, n);
    return SODA_OK;
}

static soda_status norm(soda_device *d, const float *x, int64_t n, double *result)
{
    (void)d;
    *result = grad_clip_norm(x, n);
    return SODA_OK;
}

static soda_status clip(soda_device *d, const double *norm, const double *limit, float *x,
                        int64_t n)
{
    if (*limit <= 0 || !isfinite(*norm)) return SODA_OK;
    const float factor = (float)grad_clip_factor(*norm, *limit);
    return factor == 1 ? SODA_OK : scale(d, factor, x, x, n);
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

static soda_status step_rotations(soda_device *d, update_rotations *r, const stiefel_rule *rule,
                                  const double *norm, double *drift)
{
    (void)d;
    *drift = 0;
    if (!isfinite(*norm)) return SODA_OK;
    TRY(stiefel_apply_f32(rule, r->matrices, r->count, r->work, r->drift));
    *drift = stiefel_largest_drift(r->drift, r->count);
    return SODA_OK;
}

static void close_vectors(soda_device *d, update_vectors *vectors)
{
    (void)d;
    free(vectors);
}

static soda_status open_vectors(soda_device *d, const update_vector *list, int64_t count,
                                update_vectors **vectors)
{
    (void)d;
    update_vectors *v = *vectors = calloc(1, sizeof *v + (size_t)count * sizeof *list);
    if (!v) return FAIL(SODA_ERR_MEMORY, "out of memory");
    v->count = count;
    for (int64_t i = 0; i < count; i++) v->list[i] = list[i];
    return SODA_OK;
}

static soda_status step_adamw(soda_device *d, update_vectors *vectors, const adamw_rule *rule,
                              const double *norm)
{
    (void)d;
    for (int64_t i = 0; i < vectors->count && isfinite(*norm); i++) {
        const update_vector *x = &vectors->list[i];
        adamw_apply(rule, x->n, x->x, x->g, x->m, x->v);
    }
    return SODA_OK;
}

const soda_update *update_host(void)
{
    static const soda_update host = {.exact_add = add_exactly,
                                     .plain_add = add_plainly,
                                     .exact_round = round_exactly,
                                     .scale = scale,
                                     .checksum = checksum,
                                     .norm = norm,
                                     .clip = clip,
                                     .rotations_open = open_rotations,
                                     .rotations_close = close_rotations,
                                     .rotations_step = step_rotations,
                                     .vectors_open = open_vectors,
                                     .vectors_close = close_vectors,
                                     .adamw = step_adamw};
    return &host;
}
