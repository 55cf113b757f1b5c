/* route.h: the ways to compute one adapted layer, and which is the cheapest where.
 *
 *     weight       the layer's weight W once for all rows, y = x W' + b
 *     activation   the rotation acts on the rows: z = x R, y = z Ws' + b, where W = Ws R'
 *     factored     W is never formed: products of the rows with frozen matrices
 *
 * A method says which of them it has, what they cost and what they are (method.h). All give the
 * same y and the same gradients, up to rounding. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tensor.h"
#include "graph/price.h"

typedef struct soda_method soda_method;
typedef struct soda_layer soda_layer;

typedef enum { ROUTE_WEIGHT, ROUTE_ACTIVATION, ROUTE_FACTORED, ROUTE_COUNT } route_kind;

typedef struct {
    const soda_layer *layer;
    int64_t rows;        /* of x: tokens of a run */
    bool training;       /* forward and backward, the weight new every time; else forward often */
    bool input_gradient; /* training: x leads to a trainable tensor */
    soda_dtype compute;
    const price_table *prices; /* of the backend that will run it */
} route_case;

typedef struct {
    route_kind kind;
    double cost[ROUTE_COUNT]; /* flops at the speed of a GEMM in `compute`; INFINITY: cannot */
} route_choice;

/* The cheapest route of the layer's method by the costs of docs/method.md, section 4, at the
 * backend's prices. A function of its argument alone: the same on every rank and when a run is
 * resumed. */
route_choice route_choose(const route_case *c);

/* Terms of the methods' costs, in flops of a GEMM in `compute`: forward, and backward if training.
 */
double route_rotation(const route_case *c, int64_t rows); /* of [rows,n] by three factors */
double route_bytes(const route_case *c, double bytes);    /* a pass over memory */
double route_wide(const route_case *c, double flops);     /* a GEMM in fp32 */

/* Products of the rows with a computed [m,n]: y, its gradient dW, and dx if wanted. */
double route_dense(const route_case *c, bool input_gradient);

/* The same with a frozen weight [m,n]: y and dx. */
double route_frozen(const route_case *c);

const char *route_name(route_kind kind);

/* "factored spectrum: 1.2 GFLOP against 1.7 (weight) and 2.0 (activation)", cut to `size`. */
char *route_text(const route_choice *choice, char *text, int size);
