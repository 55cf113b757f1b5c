#include "cuda/update.h"

#include <stdlib.h>

#include "cuda/gpu.h"
#include "cuda/launch.h"

_Static_assert((int)GPU_SUM == (int)UPDATE_BLOCKS, "the scratch of a sum");

static soda_status add_exactly(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                               const update_notes *notes)
{
    (void)d;
    GPU_TRY(launch_add_to_sum(limbs, NULL, x, n, gpu_sum(), *notes, gpu_stream()));
    return SODA_OK;
}

static soda_status add_plainly(soda_device *d, float *sum, const float *x, int64_t n,
                               const update_notes *notes)
{
    (void)d;
    GPU_TRY(launch_add_to_sum(NULL, sum, x, n, gpu_sum(), *notes, gpu_stream()));
    return SODA_OK;
}

static soda_status round_exactly(soda_device *d, int64_t *limbs, float factor, float *x, int64_t n)
{
    (void)d;
    if (n > 0) GPU_TRY(launch_exact_round(limbs, factor, x, n, gpu_stream()));
    return SODA_OK;
}

static soda_status scale(soda_device *d, float factor, const float *x, float *y, int64_t n)
{
    (void)d;
    if (n > 0) GPU_TRY(launch_scale(false, x, factor, y, n, gpu_stream()));
    return SODA_OK;
}

static soda_status checksum(soda_device *d, const float *x, int64_t n, uint64_t *sum)
{
    (void)d;
    GPU_TRY(launch_checksum(x, n, gpu_sum(), sum, gpu_stream()));
    return SODA_OK;
}

static soda_status norm(soda_device *d, const float *x, int64_t n, double *result)
{
    (void)d;
    GPU_TRY(launch_norm(x, n, gpu_sum(), result, gpu_stream()));
    return SODA_OK;
}

static soda_status clip(soda_device *d, const double *norm, const double *limit, float *x,
                        int64_t n)
{
    (void)d;
    if (n > 0) GPU_TRY(launch_clip(norm, limit, x, n, gpu_stream()));
    return SODA_OK;
}

struct update_vectors {
    int64_t count;
    adamw_piece *pieces; /* on the device */
};

static void close_vectors(soda_device *d, update_vectors *vectors)
{
    if (!vectors) return;
    d->release(d, vectors->pieces);
    free(vectors);
}

/* The vectors in pieces for a block each. */
static int64_t cut(const update_vector *list, int64_t count, adamw_piece *pieces)
{
    int64_t cuts = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t at = 0; at < list[i].n; at += UPDATE_PIECE, cuts++) {
            const update_vector *x = &list[i];
            const int64_t rest = x->n - at;
            if (pieces)
                pieces[cuts] = (adamw_piece){x->x + at, x->g + at, x->m + at, x->v + at,
                                             (int)(rest < UPDATE_PIECE ? rest : UPDATE_PIECE)};
        }
    return cuts;
}

static soda_status upload_pieces(soda_device *d, const update_vector *list, int64_t count,
                                 update_vectors *v)
{
    const size_t bytes = (size_t)v->count * sizeof *v->pieces;
    if (!bytes) return SODA_OK;
    TRY(d->alloc(d, bytes, (void **)&v->pieces));
    adamw_piece *pieces = calloc(1, bytes);
    if (!pieces) return FAIL(SODA_ERR_MEMORY, "out of memory");
    cut(list, count, pieces);
    const soda_status s = d->upload(d, v->pieces, pieces, bytes);
    free(pieces);
    return s;
}

static soda_status open_vectors(soda_device *d, const update_vector *list, int64_t count,
                                update_vectors **vectors)
{
    update_vectors *v = *vectors = calloc(1, sizeof *v);
    if (!v) return FAIL(SODA_ERR_MEMORY, "out of memory");
    v->count = cut(list, count, NULL);
    const soda_status s = upload_pieces(d, list, count, v);
    if (s == SODA_OK) return SODA_OK;
    close_vectors(d, v);
    *vectors = NULL;
    return s;
}

static soda_status step_adamw(soda_device *d, update_vectors *v, const adamw_rule *rule,
                              const double *norm)
{
    (void)d;
    if (v->count > 0)
        GPU_TRY(launch_adamw(rule, v->pieces, (unsigned)v->count, norm, gpu_stream()));
    return SODA_OK;
}

const soda_update *update_gpu(void)
{
    static const soda_update gpu = {.exact_add = add_exactly,
                                    .plain_add = add_plainly,
                                    .exact_round = round_exactly,
                                    .scale = scale,
                                    .checksum = checksum,
                                    .norm = norm,
                                    .clip = clip,
                                    .rotations_open = update_rotations_open,
                                    .rotations_close = update_rotations_close,
                                    .rotations_step = update_rotations_step,
                                    .vectors_open = open_vectors,
                                    .vectors_close = close_vectors,
                                    .adamw = step_adamw};
    return &gpu;
}
