/* route.h: the three ways to compute one SODA layer, and which is the cheapest where.
 *
 * W = Ws R', y = x W' + b, with Ws = U diag(relu(s + delta)) Vh (SVD) or W0 + diag(delta) Q (LQ):
 *
 *     weight       W = Ws R' once for all rows, y = x W' + b
 *     activation   z = x R, y = z Ws' + b
 *     factored     z = x R, h = z Vh', y = (h relu(s + delta)) U' + b       SVD only
 *
 * All three give the same y and the same gradients, up to rounding. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tensor.h"

typedef enum { SODA_METHOD_SVD, SODA_METHOD_LQ } soda_method;

typedef enum { ROUTE_WEIGHT, ROUTE_ACTIVATION, ROUTE_FACTORED, ROUTE_COUNT } route_kind;

typedef struct {
    soda_method method;
    int64_t rows, m, n; /* tokens of a run; out and in features */
    int64_t factor[3];
    bool training;       /* forward and backward, the weight new every time; else forward often */
    bool input_gradient; /* training: x leads to a trainable tensor */
    soda_dtype compute;
} route_case;

typedef struct {
    route_kind kind;
    double cost[ROUTE_COUNT]; /* flops at the speed of a GEMM in `compute`; INFINITY: cannot */
} route_choice;

/* The cheapest route by the costs of method.md, section 3, with Kronecker passes and passes over
 * memory weighted by what they were measured to take (see route.c). A function of its argument
 * alone: the same on every rank. */
route_choice route_choose(const route_case *c);

const char *route_name(route_kind kind);

/* "factored spectrum: 1.2 GFLOP against 1.7 (weight) and 2.0 (activation)", cut to `size`. */
char *route_text(const route_choice *choice, char *text, int size);
