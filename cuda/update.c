#include "cuda/update.h"

#include "cuda/gpu.h"
#include "cuda/launch.h"

_Static_assert((int)GPU_SUM == (int)UPDATE_BLOCKS, "the scratch of a sum");

static soda_status add_exactly(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                               update_found *found)
{
    (void)d;
    GPU_TRY(launch_add_to_sum(limbs, NULL, x, n, gpu_sum(), found, gpu_stream()));
    return SODA_OK;
}

static soda_status add_plainly(soda_device *d, float *sum, const float *x, int64_t n,
                               update_found *found)
{
    (void)d;
    GPU_TRY(launch_add_to_sum(NULL, sum, x, n, gpu_sum(), found, gpu_stream()));
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

static soda_status norm(soda_device *d, const float *x, int64_t n, double *result)
{
    (void)d;
    GPU_TRY(launch_norm(x, n, gpu_sum(), result, gpu_stream()));
    return SODA_OK;
}

static soda_status clip(soda_device *d, const double *norm, double limit, float *x, int64_t n)
{
    (void)d;
    if (limit > 0 && n > 0) GPU_TRY(launch_clip(norm, limit, x, n, gpu_stream()));
    return SODA_OK;
}

static soda_status step_adamw(soda_device *d, const adamw_options *o, int64_t t,
                              const update_vector *x, const double *norm)
{
    (void)d;
    const adamw_rule rule = adamw_rule_of(o, t);
    if (x->n > 0) GPU_TRY(launch_adamw(&rule, x->n, x->x, x->g, x->m, x->v, norm, gpu_stream()));
    return SODA_OK;
}

const soda_update *update_gpu(void)
{
    static const soda_update gpu = {.exact_add = add_exactly,
                                    .plain_add = add_plainly,
                                    .exact_round = round_exactly,
                                    .scale = scale,
                                    .norm = norm,
                                    .clip = clip,
                                    .rotations_open = update_rotations_open,
                                    .rotations_close = update_rotations_close,
                                    .rotations_step = update_rotations_step,
                                    .adamw = step_adamw};
    return &gpu;
}
