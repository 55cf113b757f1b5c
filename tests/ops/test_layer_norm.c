/* layer_norm and its gradient in x. */
#include "support/check.h"

#include <math.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"

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

static void layer_norm_matches_ref(void **state) { (void)state, check_kernels(kernels_layer_norm); }

static void layer_norm_grad_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_layer_norm_grad);
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
