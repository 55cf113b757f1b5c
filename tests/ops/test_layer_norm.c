/* layer_norm and its gradient in x. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

/* The row 1, 3, 5, 7 has mean 4 and variance 5; a constant row gives beta. */
static void layer_norm_centres_and_scales_a_row(void **state)
{
    (void)state;
    op_case c = {.attr.layer_norm = {.eps = 4}}; /* 1/sqrt(5 + 4) */
    case_input(&c, SODA_F64, SHAPE(2, 4), 1);
    case_input(&c, SODA_F64, SHAPE(4), 1);
    case_input(&c, SODA_F64, SHAPE(4), 1);
    case_output(&c, SODA_F64, SHAPE(2, 4));
    case_output(&c, SODA_F64, SHAPE(2, 2));
    for (int i = 0; i < 4; i++) {
        case_put(&c.in[0], i, 2 * i + 1);
        case_put(&c.in[0], 4 + i, 9);
        case_put(&c.in[1], i, i + 1);
        case_put(&c.in[2], i, 0.5 * i);
    }
    case_run(&c, &ref_layer_norm);
    case_check_values(&c, (double[]){-1, 0.5 - 2. / 3, 2, 1.5 + 4, 0, 0.5, 1, 1.5}, 8, 2e-15);
    assert_true(case_get(&c.out[1], 2) == 9 && case_get(&c.out[1], 3) == 0.5);
    case_free(&c);
}

static void layer_norm_gradient_matches_finite_differences(void **state)
{
    (void)state;
    const soda_shape x = SHAPE(2, 3, 7);
    op_case c = {.attr.layer_norm = {.eps = 1e-5f}};
    case_input(&c, SODA_F64, x, 2);
    case_input(&c, SODA_F64, SHAPE(7), 1);
    case_input(&c, SODA_F64, SHAPE(7), 1);
    case_output(&c, SODA_F64, x);
    case_output(&c, SODA_F64, SHAPE(6, 2));
    case_run(&c, &ref_layer_norm);
    op_case g = {.attr = c.attr};
    case_input(&g, SODA_F64, x, 1);
    case_given(&g, &c.in[0]);
    case_given(&g, &c.in[1]);
    case_given(&g, &c.out[1]);
    case_output(&g, SODA_F64, x);
    case_run(&g, &ref_layer_norm_grad);
    case_check_gradient(&c, &ref_layer_norm, 0, &g.in[0], &g.out[0]);
    case_free(&c);
    case_free(&g);
}

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

/* As in test_group_norm.c, with C terms. */
static op_bound bound_of(const sizes *z)
{
    return (op_bound){.terms = (double)z->C + 4 + z->mean * z->mean};
}

static void layer_norm_matches_ref(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        const op_bound bound[] = {bound_of(&tested_cases[i]), bound_of(&tested_cases[i])};
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            char label[80];
            op_case c = {.inputs = 0};
            forward_case(&c, &tested_cases[i], &op_type_list[t]);
            snprintf(label, sizeof label, "case %zu, types %d", i, t);
            case_compare(&c, &TESTED(layer_norm), &ref_layer_norm, bound, label);
            case_free(&c);
        }
    }
}

/* dx is what is left of terms gamma dy / std when their mean and their share of x^ are gone; of a
 * row of few elements nearly nothing is. gamma and dy are about 1. */
static double term_size(const soda_tensor *stats)
{
    double largest = 0;
    for (int64_t i = 1; i < shape_count(&stats->shape); i += 2)
        largest = fmax(largest, case_get(stats, i));
    return largest;
}

static void layer_norm_grad_matches_ref(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tested_cases / sizeof *tested_cases; i++) {
        op_bound bound = bound_of(&tested_cases[i]);
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            char label[80];
            op_case c = {.inputs = 0};
            forward_case(&c, &tested_cases[i], &op_type_list[t]);
            case_run(&c, &ref_layer_norm);
            bound.size = term_size(&c.out[1]);
            op_case g = {.attr = c.attr};
            case_input(&g, c.in[0].dtype, c.in[0].shape, 1);
            case_given(&g, &c.in[0]);
            case_given_weight(&g, &c.in[1]);
            case_given(&g, &c.out[1]);
            case_output(&g, c.in[0].dtype, c.in[0].shape);
            snprintf(label, sizeof label, "case %zu, types %d", i, t);
            case_compare(&g, &TESTED(layer_norm_grad), &ref_layer_norm_grad, &bound, label);
            case_free(&c);
            case_free(&g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm_centres_and_scales_a_row),
        cmocka_unit_test(layer_norm_gradient_matches_finite_differences),
        cmocka_unit_test(layer_norm_matches_ref),
        cmocka_unit_test(layer_norm_grad_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
