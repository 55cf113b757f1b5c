#include "adapter/route.h"

#include <math.h>
#include <stdio.h>

#include "adapter/method.h"

static const price_row *price_of(const route_case *c)
{
    return c->compute == SODA_BF16 ? &c->prices->bf16 : &c->prices->f32;
}

double route_rotation(const route_case *c, int64_t rows)
{
    const int64_t *f = c->layer->factor;
    /* 2 and 6 flops an element and side */
    return (c->training ? 8 : 2) * price_of(c)->rotate * (double)rows * (double)c->layer->n *
           (double)(f[0] + f[1] + f[2]);
}

double route_bytes(const route_case *c, double bytes) { return bytes * price_of(c)->byte; }

double route_wide(const route_case *c, double flops) { return flops * price_of(c)->wide_gemm; }

/* dW is written once, in fp32. */
double route_dense(const route_case *c, bool input_gradient)
{
    const double m = (double)c->layer->m, n = (double)c->layer->n;
    const double gemm = 2 * (double)c->rows * m * n;
    return c->training ? gemm * (input_gradient ? 3 : 2) + route_bytes(c, 4 * m * n) : gemm;
}

double route_frozen(const route_case *c)
{
    return (c->training ? 4 : 2) * (double)c->rows * (double)c->layer->m * (double)c->layer->n;
}

route_choice route_choose(const route_case *c)
{
    const soda_method *method = c->layer->method;
    route_choice choice = {.kind = ROUTE_COUNT};
    method->cost(c, choice.cost);
    for (int r = 0; r < ROUTE_COUNT; r++) {
        if (!(method->routes & 1u << r)) choice.cost[r] = (double)INFINITY;
        if (choice.kind == ROUTE_COUNT || choice.cost[r] < choice.cost[choice.kind])
            choice.kind = (route_kind)r;
    }
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
