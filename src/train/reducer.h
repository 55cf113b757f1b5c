/* reducer.h: the gradient of the global batch from those of its micro-batches, over all ranks.
 *
 * REDUCE_EXACT adds in fixed point (comm/exact.h): the result does not depend on how many ranks
 * there are, nor on which of them had which micro-batch. REDUCE_FAST adds in fp32. */
#pragma once

#include "backend/backend.h"
#include "config/run_config.h"

typedef struct {
    run_reduction kind;
    int64_t count;
    const soda_backend *backend;
    soda_exchange *exchange;
    int64_t *limbs; /* exact: as update.h has them, and how many arrays were refused */
    float *sum;     /* fast: [count], on the device */
} soda_reducer;

/* Bytes of the sums of `count` numbers. */
size_t reducer_bytes(run_reduction kind, int64_t count);

/* Starts with nothing added. `exchange` is backend->connect's, and outlives the reducer. */
soda_status reducer_create(run_reduction kind, int64_t count, const soda_backend *backend,
                           soda_exchange *exchange, soda_reducer *reducer);
void reducer_destroy(soda_reducer *reducer); /* accepts a zeroed struct */

/* Forgets everything added. */
soda_status reducer_clear(soda_reducer *reducer);

/* Adds x [count] unless an element is not finite or beyond 2^49: then the sum of all ranks will be
 * NaN everywhere. The notes say so; they and x are on the device, and nothing waits. Local. */
soda_status reducer_add(soda_reducer *reducer, const float *x, const update_notes *notes);

/* x [count], on the device, = factor times the sum of everything that any rank added since the last
 * clear. Collective: call it only when all ranks are well. */
soda_status reducer_finish(soda_reducer *reducer, float factor, float *x);
