/* order.h: which pictures a step sees: a function of the seed and of the sample's global number.
 *
 * A run is an endless row of micro-batches of `batch` pictures; step s takes numbers
 * s M .. s M + M - 1 of them, M = global_batch / batch. The number of ranks is not known here.
 *
 * Epoch e shuffles all pictures. The pictures of one bucket, epoch after epoch, are a stream that
 * is cut into micro-batches, so each holds one bucket only, and what an epoch leaves over begins a
 * micro-batch with the next: every picture is seen once per epoch, whatever the sizes of the
 * buckets. The micro-batches that end in epoch e come in an order that e shuffles too (with one
 * bucket: as they are cut). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct {
    uint64_t seed;
    int64_t count;         /* pictures, 1 or more and less than 2^31 */
    const int64_t *bucket; /* [count] a number below count for each bucket; NULL: there is one */
    int64_t batch, global_batch; /* global_batch is a multiple of batch */
    int variants;                /* of every picture */
    double caption_dropout;
} order_options;

typedef struct {
    uint64_t number; /* step global_batch + place in the step: what noise and timestep come from */
    int64_t image;
    int variant;
    bool drop_caption;
} order_sample;

typedef struct soda_order soda_order;

/* Copies what it needs. */
soda_status order_create(const order_options *options, soda_order **order);
void order_destroy(soda_order *order); /* accepts NULL */

/* samples [batch] of micro-batch `micro` of a step. Cheap within an epoch; the first call in an
 * epoch costs time proportional to the pictures. */
void order_samples(soda_order *order, int64_t step, int64_t micro, order_sample *samples);
