/* mse_loss and its gradient. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "verify/case_layouts.h"

/* Two images of two elements: (3 (1 + 4)/2 + 5 (9 + 16)/2)/2. */
static void mse_loss_weighs_images(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    case_mse_loss(&c, SHAPE(2, 2), SODA_F64, SODA_F64, 0);
    for (int i = 0; i < 4; i++) case_put(&c.in[0], i, 0.5 * i);
    for (int i = 0; i < 4; i++) case_put(&c.in[1], i, 0.5 * i - (i + 1) * (i % 2 ? 1 : -1));
    case_put(&c.in[2], 0, 3);
    case_put(&c.in[2], 1, 5);
    case_run(&c, &ref_mse_loss);
    case_check_values(&c, (double[]){35}, 1, 1e-14);
    assert_true(case_get(&c.out[1], 0) == 2.5 && case_get(&c.out[1], 1) == 12.5);
    case_free(&c);
}

/* The same images with beta 0.1 and references 2 and 13: x = 3 (2.5 - 2), 5 (12.5 - 13), and the
 * mean of log(1 + exp(0.1 x)) by the definition. */
static void dco_compares_with_a_reference(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    case_mse_loss(&c, SHAPE(2, 2), SODA_F64, SODA_F64, 0.125f);
    for (int i = 0; i < 4; i++) case_put(&c.in[0], i, 0.5 * i);
    for (int i = 0; i < 4; i++) case_put(&c.in[1], i, 0.5 * i - (i + 1) * (i % 2 ? 1 : -1));
    case_put(&c.in[2], 0, 3);
    case_put(&c.in[2], 1, 5);
    case_put(&c.in[3], 0, 2);
    case_put(&c.in[3], 1, 13);
    case_run(&c, &ref_mse_loss);
    const double want = (-log(1 / (1 + exp(0.125 * 1.5))) - log(1 / (1 + exp(0.125 * -2.5)))) / 2;
    case_check_values(&c, &want, 1, 1e-14);
    case_free(&c);
}

static void mse_loss_gradient_matches_finite_differences(void **state)
{
    (void)state;
    for (int dco = 0; dco < 2; dco++) {
        op_case c = {.inputs = 0}, g = {.inputs = 0}, one = {.inputs = 0};
        case_mse_loss(&c, SHAPE(3, 2, 5, 4), SODA_F64, SODA_F64, dco ? 1.5f : 0);
        case_run(&c, &ref_mse_loss);
        case_mse_loss_grad(&g, &c);
        case_run(&g, &ref_mse_loss_grad);
        case_input(&one, SODA_F64, SHAPE(1), 1);
        case_put(&one.in[0], 0, 1);
        case_check_gradient(&c, &ref_mse_loss, 0, &one.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
        case_free(&one);
    }
}

static void mse_loss_matches_ref(void **state) { (void)state, check_kernels(kernels_mse_loss); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mse_loss_weighs_images),
        cmocka_unit_test(dco_compares_with_a_reference),
        cmocka_unit_test(mse_loss_gradient_matches_finite_differences),
        cmocka_unit_test(mse_loss_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
