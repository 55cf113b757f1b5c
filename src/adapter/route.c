#include "adapter/route.h"

#include <math.h>
#include <stdio.h>

/* How long one flop of a rotation, one byte of a pass over memory and one flop of an fp32 GEMM
 * take, in flops of a GEMM in the compute type. Measured with soda's CPU kernels, one thread,
 * AVX-512 and AMX: GEMM 205 GFLOP/s in fp32 and 1300 in bf16, rotations 50, passes 20 to 25 GB/s.
 * They decide speed only, and are constants so that every machine takes the same route. */
typedef struct {
    double rotate, byte, wide_gemm;
} price;

static price price_of(soda_dtype compute)
{
    return compute == SODA_BF16 ? (price){26, 52, 6.5} : (price){4, 10, 1};
}

/* Forward and backward rotation of [rows,n]: 2 and 6 flops an element and side. */
static double rotation(const route_case *c, const price *p, int64_t rows)
{
    const double side = (double)(c->factor[0] + c->factor[1] + c->factor[2]);
    return (c->training ? 8 : 2) * p->rotate * (double)rows * (double)c->n * side;
}

/* Ws, forward and backward, in fp32; SVD by two GEMMs of 2 m n k. Passes over [m,n] in fp32: LQ
 * reads two and writes one, and reads two again; SVD scales U, and its gradient has three more. */
static double spectral_weight(const route_case *c, const price *p)
{
    const double m = (double)c->m, n = (double)c->n, k = m < n ? m : n;
    if (c->method == SODA_METHOD_LQ) return (c->training ? 5 : 3) * 4 * m * n * p->byte;
    const double gemm = (c->training ? 4 : 2) * m * n * k * p->wide_gemm;
    return gemm + ((c->training ? 5 : 2) * m * k + (c->training ? 4 : 1) * m * n) * 4 * p->byte;
}

/* Products with a dense [m,n]: forward, dW, and dx if it is wanted; dW in fp32 is written once. */
static double dense(const route_case *c, const price *p, bool input_gradient)
{
    const double gemm = 2 * (double)c->rows * (double)c->m * (double)c->n;
    if (!c->training) return gemm;
    return gemm * (input_gradient ? 3 : 2) + 4 * (double)c->m * (double)c->n * p->byte;
}

static double factored(const route_case *c, const price *p)
{
    const double rows = (double)c->rows, m = (double)c->m, n = (double)c->n, k = m < n ? m : n;
    const double gemm = (c->training ? 4 : 2) * rows * k * (m + n);
    const double element = (double)dtype_bytes(c->compute);
    return gemm + (c->training ? 7 : 2) * rows * k * element * p->byte;
}

route_choice route_choose(const route_case *c)
{
    const price p = price_of(c->compute);
    const double Ws = spectral_weight(c, &p);
    const bool svd = c->method == SODA_METHOD_SVD;
    route_choice choice = {.kind = ROUTE_WEIGHT};
    /* When sampling, W stays as it is for all runs: what makes it costs nothing. */
    choice.cost[ROUTE_WEIGHT] =
        dense(c, &p, c->input_gradient) + (c->training ? Ws + rotation(c, &p, c->m) : 0);
    /* R needs dz, whether x needs a gradient or not. */
    choice.cost[ROUTE_ACTIVATION] =
        dense(c, &p, true) + rotation(c, &p, c->rows) + (c->training ? Ws : 0);
    choice.cost[ROUTE_FACTORED] =
        svd ? factored(c, &p) + rotation(c, &p, c->rows) : (double)INFINITY;
    for (int r = 0; r < ROUTE_COUNT; r++)
        if (choice.cost[r] < choice.cost[choice.kind]) choice.kind = (route_kind)r;
    return choice;
}

const char *route_name(route_kind kind)
{
    static const char *const names[] = {[ROUTE_WEIGHT] = "weight-side rotation",
                                        [ROUTE_ACTIVATION] = "activation-side rotation",
                                        [ROUTE_FACTORED] = "factored spectrum"};
    return names[kind];
}

char *route_text(const route_choice *choice, char *text, int size)
{
    int used = snprintf(text, (size_t)size, "%s: %.3g GFLOP", route_name(choice->kind),
                        choice->cost[choice->kind] / 1e9);
    const char *joint = " against";
    for (int r = 0; r < ROUTE_COUNT; r++) {
        if (r == (int)choice->kind || isinf(choice->cost[r]) || used >= size) continue;
        used += snprintf(text + used, (size_t)(size - used), "%s %.3g (%s)", joint,
                         choice->cost[r] / 1e9, route_name((route_kind)r));
        joint = " and";
    }
    return text;
}
