/* update.h: from gradients to new parameters, on the memory of a backend's device.
 *
 * Arrays are the device's; single numbers that a function returns are the host's, which waits for
 * them. Every sum has one order, whatever the number of threads. */
#pragma once

#include "backend/device.h"
#include "optim/adamw.h"
#include "optim/stiefel.h"

/* A list of matrices to be stepped together, and scratch for it. */
typedef struct update_rotations update_rotations;

typedef struct {
    /* limbs [n,EXACT_LIMBS] += x [n], or sum [n] += x. SODA_ERR_NUMERIC if some x is not finite,
     * or too large for exact.h: *where is the least such index, and nothing was added. */
    soda_status (*exact_add)(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                             int64_t *where);
    soda_status (*plain_add)(soda_device *d, float *sum, const float *x, int64_t n, int64_t *where);

    /* x [n] = the rounded sums times factor, rounded again; limbs keep their value. */
    soda_status (*exact_round)(soda_device *d, int64_t *limbs, float factor, float *x, int64_t n);

    soda_status (*scale)(soda_device *d, float factor, const float *x, float *y, int64_t n);

    /* sqrt of the sum of squares in fp64; not finite if an element is not. */
    soda_status (*norm)(soda_device *d, const float *x, int64_t n, double *norm);

    /* The list is copied; put big matrices first. Arrays stay where they are. */
    soda_status (*rotations_open)(soda_device *d, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations);
    void (*rotations_close)(soda_device *d, update_rotations *rotations); /* accepts NULL */

    /* Step t = 1, 2, ... of stiefel.h. *drift is the largest ||X'X - I||_F after it, NaN if one
     * is, 0 if there is no matrix. */
    soda_status (*rotations_step)(soda_device *d, update_rotations *rotations,
                                  const stiefel_options *options, int64_t t, double *drift);

    /* adamw_step of adamw.h. */
    soda_status (*adamw)(soda_device *d, const adamw_options *options, int64_t t, int64_t n,
                         float *x, const float *g, float *m, float *v);
} soda_update;

/* For devices whose memory is the host's. */
const soda_update *update_host(void);
