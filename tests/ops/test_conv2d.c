/* conv2d and its gradient in x. */
#include "support/check.h"

#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "verify/case_layouts.h"

/* A 2x3 picture of one channel, a 2x2 kernel, one row of zeros above and one column at the right.
 */
static void conv2d_slides_the_kernel(void **state)
{
    (void)state;
    const double w[] = {1, 10, 100, 1000};
    op_case c = {.attr.conv2d = {.stride = 1, .top = 1, .right = 1}};
    case_input(&c, SODA_F64, SHAPE(1, 2, 3, 1), 1);
    case_input(&c, SODA_F64, SHAPE(1, 1, 2, 2), 1);
    case_input(&c, SODA_F64, SHAPE(1), 1);
    case_output(&c, SODA_F64, SHAPE(1, 2, 3, 1));
    for (int i = 0; i < 6; i++) case_put(&c.in[0], i, i + 1);
    for (int i = 0; i < 4; i++) case_put(&c.in[1], i, w[i]);
    case_put(&c.in[2], 0, 0.5);
    case_run(&c, &ref_conv2d);
    case_check_values(&c, (double[]){2100.5, 3200.5, 300.5, 5421.5, 6532.5, 603.5}, 6, 0);
    case_free(&c);
}

static void conv2d_gradient_matches_finite_differences(void **state)
{
    (void)state;
    static const case_conv2d cases[] = {
        {2, 5, 4, 3, 2, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
        {1, 7, 6, 2, 3, 3, 3, {.stride = 2, .bottom = 1, .right = 1}}, /* the VAE's downsampler */
        {1, 6, 5, 2, 3, 3, 2, {.stride = 2, .top = 2, .left = 1}},
        {1, 3, 5, 4, 3, 1, 1, {.stride = 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const case_conv2d *z = &cases[i];
        op_case c = {.attr.conv2d = z->attr};
        case_input(&c, SODA_F64, SHAPE(z->N, z->H, z->W, z->I), 1);
        case_input(&c, SODA_F64, SHAPE(z->O, z->I, z->kh, z->kw), 1);
        case_output(&c, SODA_F64, case_conv2d_out(z));
        op_case g = {.attr.conv2d = z->attr};
        g.attr.conv2d.in_h = z->H;
        g.attr.conv2d.in_w = z->W;
        case_input(&g, SODA_F64, case_conv2d_out(z), 1);
        case_given(&g, &c.in[1]);
        case_output(&g, SODA_F64, c.in[0].shape);
        case_run(&g, &ref_conv2d_grad_x);
        case_check_gradient(&c, &ref_conv2d, 0, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

static void conv2d_matches_ref(void **state) { (void)state, check_kernels(kernels_conv2d); }

static void conv2d_grad_x_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_conv2d_grad_x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d_slides_the_kernel),
        cmocka_unit_test(conv2d_gradient_matches_finite_differences),
        cmocka_unit_test(conv2d_matches_ref),
        cmocka_unit_test(conv2d_grad_x_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
