/* layer_norm and its gradient in x. */
#include <stdio.h>

#include "verify/kernels.h"

typedef struct {
    int64_t lead, rows, C;
    double mean; /* of x, in standard deviations */
} sizes;

static const sizes tested_cases[] = {
    {1, 1, 1, 0}, {1, 3, 7, 0}, {2, 5, 33, 1}, {1, 77, 65, 100}, {3, 43, 320, 3}, {1, 1, 1281, 0},
};

static void forward_case(op_case *c, const sizes *z, const op_types *type)
{
    const soda_shape x = SHAPE(z->lead, z->rows, z->C);
    c->attr.layer_norm.eps = 1e-5f;
    case_input(c, type->x, x, 1);
    for (int64_t i = 0; i < shape_count(&x); i++)
        case_put(&c->in[0], i, case_get(&c->in[0], i) + z->mean);
    case_weight(c, type->w, type->x, SHAPE(z->C), 1);
    case_weight(c, type->w, type->x, SHAPE(z->C), 1);
    case_output(c, type->x, x);
    case_output(c, SODA_F32, SHAPE(z->lead * z->rows, 2));
}

/* As in group_norm_cases.c, with C terms. */
static op_bound bound_of(const sizes *z)
{
    return (op_bound){.terms = (double)z->C + 4 + z->mean * z->mean};
}

void kernels_layer_norm(kernel_check *check)
{
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        const op_bound bound[] = {bound_of(&tested_cases[i]), bound_of(&tested_cases[i])};
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            char label[80];
            op_case c = {.inputs = 0};
            forward_case(&c, &tested_cases[i], &op_type_list[t]);
            snprintf(label, sizeof label, "case %zu, types %d", i, t);
            kernels_compare(check, OP_layer_norm, &c, bound, label);
            case_free(&c);
        }
    }
}

/* dx is what is left of terms gamma dy / std when their mean and their share of x^ are gone; of a
 * row of few elements nearly nothing is. gamma and dy are about 1. */
void kernels_layer_norm_grad(kernel_check *check)
{
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        op_bound bound = bound_of(&tested_cases[i]);
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            char label[80];
            op_case c = {.inputs = 0};
            forward_case(&c, &tested_cases[i], &op_type_list[t]);
            kernels_reference(check, OP_layer_norm, &c);
            bound.size = case_largest_scale(&c.out[1]);
            op_case g = {.attr = c.attr};
            case_input(&g, c.in[0].dtype, c.in[0].shape, 1);
            case_given(&g, &c.in[0]);
            case_given_weight(&g, &c.in[1]);
            case_given(&g, &c.out[1]);
            case_output(&g, c.in[0].dtype, c.in[0].shape);
            snprintf(label, sizeof label, "case %zu, types %d", i, t);
            kernels_compare(check, OP_layer_norm_grad, &g, &bound, label);
            case_free(&c);
            case_free(&g);
        }
    }
}
