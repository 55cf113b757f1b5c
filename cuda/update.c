#include "cuda/update.h"

#include <math.h>

#include "comm/exact.h"
#include "cuda/gpu.h"
#include "cuda/launch.h"

_Static_assert((int)GPU_SUM == (int)UPDATE_BLOCKS, "the room of a sum");

/* The failure for x[i], i being what launch_find found; SODA_OK if that is nothing. */
static soda_status report(soda_device *d, const float *x, int64_t *where)
{
    int64_t found;
    float value;
    TRY(d->download(d, &found, gpu_sum(), sizeof found));
    if (found == INT64_MAX) return SODA_OK;
    *where = found;
    TRY(d->download(d, &value, x + found, sizeof value));
    return FAIL(SODA_ERR_NUMERIC, "element %lld is %g", (long long)found, (double)value);
}

static soda_status add_exactly(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                               int64_t *where)
{
    if (n == 0) return SODA_OK;
    GPU_TRY(launch_find(x, n, 0x1p49f, gpu_sum(), gpu_stream()));
    GPU_TRY(launch_exact_add(limbs, x, n, gpu_sum(), gpu_stream()));
    return report(d, x, where);
}

static soda_status add_plainly(soda_device *d, float *sum, const float *x, int64_t n,
                               int64_t *where)
{
    if (n == 0) return SODA_OK;
    GPU_TRY(launch_find(x, n, INFINITY, gpu_sum(), gpu_stream()));
    GPU_TRY(launch_plain_add(sum, x, n, gpu_sum(), gpu_stream()));
    return report(d, x, where);
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
    double square;
    GPU_TRY(launch_square(x, n, gpu_sum(), gpu_stream()));
    TRY(d->download(d, &square, gpu_sum(), sizeof square));
    *result = sqrt(square);
    return SODA_OK;
}

static soda_status step_adamw(soda_device *d, const adamw_options *o, int64_t t, int64_t n,
                              float *x, const float *g, float *m, float *v)
{
    (void)d;
    const adamw_rule rule = adamw_rule_of(o, t);
    if (n > 0) GPU_TRY(launch_adamw(&rule, n, x, g, m, v, gpu_stream()));
    return SODA_OK;
}

const soda_update *update_gpu(void)
{
    static const soda_update gpu = {.exact_add = add_exactly,
                                    .plain_add = add_plainly,
                                    .exact_round = round_exactly,
                                    .scale = scale,
                                    .norm = norm,
                                    .rotations_open = update_rotations_open,
                                    .rotations_close = update_rotations_close,
                                    .rotations_step = update_rotations_step,
                                    .adamw = step_adamw};
    return &gpu;
}
