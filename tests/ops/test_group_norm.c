/* group_norm, with and without silu. */
#include "support/check.h"

#include <math.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"

/* Two channels in one group, two pixels: 1, 3, 5, 7 has mean 4 and variance 5. */
static void group_norm_centres_and_scales_a_group(void **state)
{
    (void)state;
    op_case c = {.attr.group_norm = {.groups = 1, .eps = 4}}; /* 1/sqrt(5 + 4) */
    case_input(&c, SODA_F64, SHAPE(1, 2, 2), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_output(&c, SODA_F64, SHAPE(1, 2, 2));
    case_output(&c, SODA_F64, SHAPE(1, 1, 2));
    for (int i = 0; i < 4; i++) case_put(&c.in[0], i, 2 * i + 1);
    case_put(&c.in[1], 0, 3);
    case_put(&c.in[1], 1, -6);
    case_put(&c.in[2], 0, 0.5);
    case_put(&c.in[2], 1, 1);
    case_run(&c, &ref_group_norm);
    case_check_values(&c, (double[]){-2.5, 3, 1.5, -5}, 4, 1e-15);
    assert_true(case_get(&c.out[1], 0) == 4 && fabs(case_get(&c.out[1], 1) - 1. / 3) < 1e-15);
    c.attr.group_norm.silu = true;
    case_run(&c, &ref_group_norm);
    case_check_values(&c,
                      (double[]){-2.5 / (1 + exp(2.5)), 3 / (1 + exp(-3)), 1.5 / (1 + exp(-1.5)),
                                 -5 / (1 + exp(5))},
                      4, 1e-15);
    case_free(&c);
}

static void group_norm_gradient_matches_finite_differences(void **state)
{
    (void)state;
    for (int silu = 0; silu < 2; silu++) {
        const soda_shape x = SHAPE(2, 3, 5, 6);
        op_case c = {.attr.group_norm = {.groups = 3, .eps = 1e-5f, .silu = silu}};
        case_input(&c, SODA_F64, x, 2);
        case_input(&c, SODA_F64, SHAPE(6), 1);
        case_input(&c, SODA_F64, SHAPE(6), 1);
        case_output(&c, SODA_F64, x);
        case_output(&c, SODA_F64, SHAPE(2, 3, 2));
        case_run(&c, &ref_group_norm);
        op_case g = {.attr = c.attr};
        case_input(&g, SODA_F64, x, 1);
        for (int i = 0; i < 3; i++) case_given(&g, &c.in[i]);
        case_given(&g, &c.out[1]);
        case_output(&g, SODA_F64, x);
        case_run(&g, &ref_group_norm_grad);
        case_check_gradient(&c, &ref_group_norm, 0, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

static void group_norm_matches_ref(void **state) { (void)state, check_kernels(kernels_group_norm); }

static void group_norm_grad_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_group_norm_grad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_norm_centres_and_scales_a_group),
        cmocka_unit_test(group_norm_gradient_matches_finite_differences),
        cmocka_unit_test(group_norm_matches_ref),
        cmocka_unit_test(group_norm_grad_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
