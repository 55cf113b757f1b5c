#include "train/reducer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"

static size_t limb_bytes(const soda_reducer *r)
{
    return (size_t)r->count * EXACT_LIMBS * sizeof *r->limbs;
}

soda_status reducer_create(run_reduction kind, int64_t count, soda_reducer *r)
{
    *r = (soda_reducer){.kind = kind, .count = count};
    if (kind == REDUCE_EXACT)
        r->limbs = malloc(limb_bytes(r));
    else
        r->sum = malloc((size_t)count * sizeof *r->sum);
    if (!r->limbs && !r->sum)
        return FAIL(SODA_ERR_MEMORY, "no memory to sum %lld gradients", (long long)count);
    reducer_clear(r);
    return SODA_OK;
}

void reducer_destroy(soda_reducer *r)
{
    free(r->limbs);
    free(r->sum);
    *r = (soda_reducer){0};
}

void reducer_clear(soda_reducer *r)
{
    if (r->limbs) memset(r->limbs, 0, limb_bytes(r));
    if (r->sum) memset(r->sum, 0, (size_t)r->count * sizeof *r->sum);
}

soda_status reducer_add(soda_reducer *r, const float *x, int64_t *where)
{
    if (r->kind == REDUCE_EXACT) return exact_add(r->limbs, x, r->count, where);
    for (int64_t i = 0; i < r->count; i++) {
        if (isfinite(x[i])) continue;
        *where = i;
        return FAIL(SODA_ERR_NUMERIC, "element %lld is %g", (long long)i, (double)x[i]);
    }
    for (int64_t i = 0; i < r->count; i++) r->sum[i] += x[i];
    return SODA_OK;
}

soda_status reducer_finish(soda_reducer *r, soda_comm *comm, float factor, float *x)
{
    if (r->kind == REDUCE_EXACT) {
        TRY(comm->sum_i64(comm, r->limbs, r->count * EXACT_LIMBS));
        exact_round(r->limbs, x, r->count);
    } else {
        TRY(comm->sum_f32(comm, r->sum, r->count));
        memcpy(x, r->sum, (size_t)r->count * sizeof *x);
    }
    for (int64_t i = 0; i < r->count; i++) x[i] *= factor;
    return SODA_OK;
}
