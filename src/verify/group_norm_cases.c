/* group_norm, with and without silu, and its gradient in x. */
#include <stdio.h>

#include "verify/kernels.h"

typedef struct {
    int64_t N, H, W, C, groups;
    double mean; /* of x, in standard deviations: E[x^2] - mean^2 would lose its digits here */
} sizes;

static const sizes tested_cases[] = {
    {1, 1, 1, 3, 1, 0},   {2, 3, 5, 6, 3, 0},       {3, 7, 5, 33, 11, 1},  {1, 9, 7, 35, 1, 0},
    {2, 5, 5, 17, 17, 1}, {1, 17, 13, 96, 32, 100}, {2, 33, 31, 40, 8, 3},
};

static soda_shape x_shape(const sizes *z) { return SHAPE(z->N, z->H, z->W, z->C); }

static void forward_case(op_case *c, const sizes *z, const op_types *type)
{
    case_input(c, type->x, x_shape(z), 1);
    for (int64_t i = 0; i < shape_count(&c->in[0].shape); i++)
        case_put(&c->in[0], i, case_get(&c->in[0], i) + z->mean);
    case_weight(c, type->w, type->x, SHAPE(z->C), 1);
    case_weight(c, type->w, type->x, SHAPE(z->C), 1);
    case_output(c, type->x, x_shape(z));
    case_output(c, SODA_F32, SHAPE(z->N, z->groups, 2));
}

/* The sums have `count` terms; a mean rounded to fp32 is off by 2^-24 mean, which x - mean inherits
 * as a relative error: as many roundings again as mean^2. */
static op_bound bound_of(const sizes *z)
{
    const int64_t count = z->H * z->W * z->C / z->groups;
    return (op_bound){.terms = (double)count + 4 + z->mean * z->mean};
}

void kernels_group_norm(kernel_check *check)
{
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        const sizes *z = &tested_cases[i];
        const op_bound bound[] = {bound_of(z), bound_of(z)};
        for (int t = 0; t < 2 * OP_FROZEN_TYPES; t++) {
            char label[80];
            op_case c = {.attr.group_norm = {.groups = z->groups, .eps = 1e-5f, .silu = t % 2}};
            forward_case(&c, z, &op_type_list[t / 2]);
            snprintf(label, sizeof label, "case %zu, types %d%s", i, t / 2, t % 2 ? ", silu" : "");
            kernels_compare(check, OP_group_norm, &c, bound, label);
            case_free(&c);
        }
    }
}

/* dx is what is left of terms gamma dy / std when their mean and their share of x^ are gone; of a
 * group of few elements nearly nothing is. gamma and dy are about 1. */
void kernels_group_norm_grad(kernel_check *check)
{
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        const sizes *z = &tested_cases[i];
        op_bound bound = bound_of(z);
        for (int t = 0; t < 2 * OP_FROZEN_TYPES; t++) {
            const op_types *type = &op_type_list[t / 2];
            char label[80];
            op_case c = {.attr.group_norm = {.groups = z->groups, .eps = 1e-5f, .silu = t % 2}};
            forward_case(&c, z, type);
            kernels_reference(check, OP_group_norm, &c);
            bound.size = case_largest_scale(&c.out[1]);
            op_case g = {.attr = c.attr};
            case_input(&g, type->x, x_shape(z), 1);
            case_given(&g, &c.in[0]);
            case_given_weight(&g, &c.in[1]);
            case_given_weight(&g, &c.in[2]);
            case_given(&g, &c.out[1]);
            case_output(&g, type->x, x_shape(z));
            snprintf(label, sizeof label, "case %zu, types %d%s", i, t / 2, t % 2 ? ", silu" : "");
            kernels_compare(check, OP_group_norm_grad, &g, &bound, label);
            case_free(&c);
            case_free(&g);
        }
    }
}
