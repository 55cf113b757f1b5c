/* update.h: from gradients to new parameters, on the memory of a backend's device.
 *
 * Arrays and results are the device's: nothing here waits, so whoever wants to know what a step
 * found downloads that once, at its end. Every sum has one order, whatever the number of threads.
 */
#pragma once

#include "backend/device.h"
#include "backend/update_found.h"
#include "optim/adamw.h"
#include "optim/stiefel.h"

/* A list of matrices to be stepped together, and scratch for it. */
typedef struct update_rotations update_rotations;

/* One vector that AdamW moves: see optim/adamw.h. */
typedef struct {
    int64_t n;
    float *x;
    const float *g;
    float *m, *v;
} update_vector;

typedef struct {
    /* limbs [n,EXACT_LIMBS] += x [n], n > 0, unless some x is not finite, or too large for exact.h:
     * then one more array is counted in limbs[n EXACT_LIMBS], which starts as 0. */
    soda_status (*exact_add)(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                             update_found *found);

    /* x [n] = the rounded sums times factor, rounded again, and limbs keep their value; NaN
     * everywhere if an array is counted that could not be added. */
    soda_status (*exact_round)(soda_device *d, int64_t *limbs, float factor, float *x, int64_t n);

    /* sum [n] += x [n], n > 0; if some x is not finite, sum is NaN everywhere. */
    soda_status (*plain_add)(soda_device *d, float *sum, const float *x, int64_t n,
                             update_found *found);

    soda_status (*scale)(soda_device *d, float factor, const float *x, float *y, int64_t n);

    /* sqrt of the sum of squares in fp64; not finite if an element is not. */
    soda_status (*norm)(soda_device *d, const float *x, int64_t n, double *norm);

    /* The next three do nothing unless *norm, that of all gradients, is finite. */

    /* x [n] times what grad_clip.h makes of the norm and the limit; limit 0: nothing. */
    soda_status (*clip)(soda_device *d, const double *norm, double limit, float *x, int64_t n);

    /* Step t = 1, 2, ... of stiefel.h. *drift is the largest ||X'X - I||_F after it, NaN if one
     * is, 0 if there is no matrix. */
    soda_status (*rotations_step)(soda_device *d, update_rotations *rotations,
                                  const stiefel_options *options, int64_t t, const double *norm,
                                  double *drift);

    /* adamw_step of adamw.h. */
    soda_status (*adamw)(soda_device *d, const adamw_options *options, int64_t t,
                         const update_vector *vector, const double *norm);

    /* The list is copied; put big matrices first. Arrays stay where they are. */
    soda_status (*rotations_open)(soda_device *d, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations);
    void (*rotations_close)(soda_device *d, update_rotations *rotations); /* accepts NULL */
} soda_update;

/* For devices whose memory is the host's. */
const soda_update *update_host(void);
