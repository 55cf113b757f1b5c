/* stiefel.h: optimizers on matrices with orthonormal columns: SO(n), and St(n,m) with n > m.
 *
 * Kong, Wang & Tao, "Momentum Stiefel Optimizer", arXiv:2205.14173, with the left-trivialised
 * momentum that needs no transport. With skew(M) = M - M', metric parameter a (canonical 1/2,
 * Euclidean 0), c = (1 - a/(a-1)) / 2 and g = c skew(X'G):
 *
 *     SO(n), Adam   Y <- beta1 Y - (1 - beta1) g          p <- beta2 p + (1 - beta2) g.g
 *                   xi = lr/(1 - beta1^t) Y / (sqrt(p / (1 - beta2^t)) + eps)
 *     SO(n), SGD    Y <- momentum Y - (1 - dampening) g   xi = lr Y
 *     both          X <- X step(xi), then X <- X (X'X)^(-1/2)
 *
 * step(xi) is I + xi, (I - xi/2)^-1 (I + xi/2) or exp(xi). The inverse root is ten iterations of
 * coupled Newton-Schulz: fixed, so that every run takes the same path. St(n,m) adds a momentum V
 * for the directions that leave the column space; its steps stand in stiefel_real.h.
 *
 * Local to a rank: G is already summed. The bits depend on the kind of CPU, not on threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef enum { STIEFEL_ADAM, STIEFEL_SGD } stiefel_kind;
typedef enum { STIEFEL_EULER, STIEFEL_CAYLEY, STIEFEL_EXPM } stiefel_retraction;
typedef enum { STIEFEL_CANONICAL, STIEFEL_EUCLIDEAN } stiefel_metric;

typedef struct {
    stiefel_kind kind;
    stiefel_retraction retraction;
    stiefel_metric metric;
    double lr;
    double beta1, beta2, eps;   /* Adam */
    double momentum, dampening; /* SGD */
} stiefel_options;

/* The numbers of step t = 1, 2, ..., which each precision rounds once.
 *
 * c, and a within it, as above
 * keep, take      beta1 and 1 - beta1, or momentum and 1 - dampening
 * rate            lr, for Adam divided by 1 - beta1^t
 * rest2           1 - beta2
 * correction2     1 - beta2^t
 * turn            (3a-2)/2 lr, of the momentum V; 0 if none is kept */
typedef struct {
    bool adam;
    stiefel_retraction retraction;
    double c, keep, take, rate, beta2, rest2, eps, correction2, lr, turn;
} stiefel_rule;

stiefel_rule stiefel_rule_of(const stiefel_options *options, int64_t t);

/* One matrix and its state. All row-major and dense; state starts at zero.
 *
 * X   in/out  [n,m]  orthonormal columns on entry, n >= m
 * G   in      [n,m]  Euclidean gradient of the loss
 * Y   in/out  [m,m]  momentum, exactly skew
 * p   in/out  [m,m]  second moment, exactly symmetric (Adam only, else NULL)
 * V   in/out  [n,m]  momentum with X'V = 0 (n > m only, else NULL)
 * pV  in/out  [n,m]  second moment of V's gradient (Adam and n > m only, else NULL) */
typedef struct {
    int n, m;
    float *X;
    const float *G;
    float *Y, *p, *V, *pV;
} stiefel_f32;

typedef struct {
    int n, m;
    double *X;
    const double *G;
    double *Y, *p, *V, *pV;
} stiefel_f64;

/* Scratch for all threads, enough for matrices up to n_max x m_max in either precision. */
typedef struct stiefel_work stiefel_work;
soda_status stiefel_work_create(int n_max, int m_max, stiefel_work **work);
void stiefel_work_destroy(stiefel_work *work);

/* The largest of drift [count], NaN if one is, 0 if there is none. */
double stiefel_largest_drift(const double *drift, int64_t count);

/* One step, number t = 1, 2, ..., of `count` matrices, one to a thread at a time; put big ones
 * first. drift[i], if drift is not NULL, becomes ||X'X - I||_F of matrix i, summed in fp64.
 * The fp32 version sums X'X and X'G in fp64 and does the rest in fp32.
 *
 * SODA_ERR_NUMERIC names the first matrix whose G is not finite: nothing was changed then. */
soda_status stiefel_step_f32(const stiefel_options *options, int64_t t, const stiefel_f32 *matrices,
                             int64_t count, stiefel_work *work, double *drift);
soda_status stiefel_step_f64(const stiefel_options *options, int64_t t, const stiefel_f64 *matrices,
                             int64_t count, stiefel_work *work, double *drift);

/* The same for a caller who has the numbers of the step. */
soda_status stiefel_apply_f32(const stiefel_rule *rule, const stiefel_f32 *matrices, int64_t count,
                              stiefel_work *work, double *drift);
