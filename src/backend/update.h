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

/* The numbers of one step. Kernels read them from the device's memory, so that the work of all
 * steps is the same and can be recorded. */
typedef struct {
    stiefel_rule rotation;
    adamw_rule spectrum;
    double clip; /* see grad_clip.h; 0: nothing */
} update_rules;

/* Lists of matrices and of vectors to be stepped together, and scratch for it. */
typedef struct update_rotations update_rotations;
typedef struct update_vectors update_vectors;

/* One vector that AdamW moves: see optim/adamw.h. */
typedef struct {
    int64_t n;
    float *x;
    const float *g;
    float *m, *v;
} update_vector;

typedef struct {
    /* limbs += x [n], n > 0, unless some x is not finite, or too large for exact.h: then one more
     * array is counted in limbs[n EXACT_LIMBS], which starts as 0. The n EXACT_LIMBS before it are
     * those of exact.h in the device's own order: others add them up, one by one, without looking.
     */
    soda_status (*exact_add)(soda_device *d, int64_t *limbs, const float *x, int64_t n,
                             const update_notes *notes);

    /* x [n] = the rounded sums times factor, rounded again, and limbs keep their value; NaN
     * everywhere if an array is counted that could not be added. */
    soda_status (*exact_round)(soda_device *d, int64_t *limbs, float factor, float *x, int64_t n);

    /* sum [n] += x [n], n > 0; if some x is not finite, sum is NaN everywhere. */
    soda_status (*plain_add)(soda_device *d, float *sum, const float *x, int64_t n,
                             const update_notes *notes);

    soda_status (*scale)(soda_device *d, float factor, const float *x, float *y, int64_t n);

    /* *sum = checksum_f32 of x [n]: core/checksum.h. */
    soda_status (*checksum)(soda_device *d, const float *x, int64_t n, uint64_t *sum);

    /* sqrt of the sum of squares in fp64; not finite if an element is not. */
    soda_status (*norm)(soda_device *d, const float *x, int64_t n, double *norm);

    /* The next three do nothing unless *norm, that of all gradients, is finite. */

    /* x [n] times what grad_clip.h makes of the norm and the limit; limit 0: nothing. */
    soda_status (*clip)(soda_device *d, const double *norm, const double *limit, float *x,
                        int64_t n);

    /* One step of stiefel.h. *drift is the largest ||X'X - I||_F after it, NaN if one is, 0 if
     * there is no matrix. */
    soda_status (*rotations_step)(soda_device *d, update_rotations *rotations,
                                  const stiefel_rule *rule, const double *norm, double *drift);

    /* One step of adamw.h. */
    soda_status (*adamw)(soda_device *d, update_vectors *vectors, const adamw_rule *rule,
                         const double *norm);

    /* The list is copied; put big matrices first. Arrays stay where they are. */
    soda_status (*rotations_open)(soda_device *d, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations);
    void (*rotations_close)(soda_device *d, update_rotations *rotations); /* accepts NULL */
    soda_status (*vectors_open)(soda_device *d, const update_vector *list, int64_t count,
                                update_vectors **vectors);
    void (*vectors_close)(soda_device *d, update_vectors *vectors); /* accepts NULL */
} soda_update;

/* For devices whose memory is the host's. */
const soda_update *update_host(void);
