/* linear and the gradient of its weight. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "support/op_case.h"

static void linear_adds_products_and_bias(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3}, w[] = {1, 0, -1, 2, 5, 1}, b[] = {10, 20};
    op_case c = {.attr.linear.transposed = false};
    case_input(&c, SODA_F64, SHAPE(1, 3), 1);
    case_input(&c, SODA_F64, SHAPE(2, 3), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_output(&c, SODA_F64, SHAPE(1, 2));
    for (int i = 0; i < 3; i++) case_put(&c.in[0], i, x[i]);
    for (int i = 0; i < 6; i++) case_put(&c.in[1], i, w[i]);
    for (int i = 0; i < 2; i++) case_put(&c.in[2], i, b[i]);
    case_run(&c, &ref_linear);
    case_check_values(&c, (double[]){1 - 3 + 10, 2 + 10 + 3 + 20}, 2, 0);
    case_free(&c);

    const double wt[] = {1, 2, 0, 5, -1, 1}; /* the same, stored [I,O]; no bias */
    c.attr.linear.transposed = true;
    case_input(&c, SODA_F64, SHAPE(1, 3), 1);
    case_input(&c, SODA_F64, SHAPE(3, 2), 1);
    case_absent(&c);
    case_output(&c, SODA_F64, SHAPE(1, 2));
    for (int i = 0; i < 3; i++) case_put(&c.in[0], i, x[i]);
    for (int i = 0; i < 6; i++) case_put(&c.in[1], i, wt[i]);
    case_run(&c, &ref_linear);
    case_check_values(&c, (double[]){1 - 3, 2 + 10 + 3}, 2, 0);
    case_free(&c);
}

static void linear_gradients_match_finite_differences(void **state)
{
    (void)state;
    enum { I = 5, O = 7 }; /* rows: two leading dimensions */
    for (int transposed = 0; transposed < 2; transposed++) {
        op_case c = {.attr.linear.transposed = transposed};
        case_input(&c, SODA_F64, SHAPE(2, 3, I), 1);
        case_input(&c, SODA_F64, transposed ? SHAPE(I, O) : SHAPE(O, I), 1);
        case_output(&c, SODA_F64, SHAPE(2, 3, O));
        op_case dy = {.inputs = 0}; /* dx = dy w, which is linear with the other orientation */
        dy.attr.linear.transposed = !transposed;
        case_input(&dy, SODA_F64, SHAPE(2, 3, O), 1);
        case_given(&dy, &c.in[1]);
        case_output(&dy, SODA_F64, SHAPE(2, 3, I));
        case_run(&dy, &ref_linear);
        case_check_gradient(&c, &ref_linear, 0, &dy.in[0], &dy.out[0]);

        op_case dw = {.inputs = 0}; /* a transposed weight has the gradient x' dy */
        case_given(&dw, transposed ? &c.in[0] : &dy.in[0]);
        case_given(&dw, transposed ? &dy.in[0] : &c.in[0]);
        case_output(&dw, SODA_F64, c.in[1].shape);
        case_run(&dw, &ref_linear_grad_weight);
        case_check_gradient(&c, &ref_linear, 1, &dy.in[0], &dw.out[0]);
        case_free(&c);
        case_free(&dy);
        case_free(&dw);
    }
}

static void linear_matches_ref(void **state) { (void)state, check_kernels(kernels_linear); }

static void linear_grad_weight_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_linear_grad_weight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_adds_products_and_bias),
        cmocka_unit_test(linear_gradients_match_finite_differences),
        cmocka_unit_test(linear_matches_ref),
        cmocka_unit_test(linear_grad_weight_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
