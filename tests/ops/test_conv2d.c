/* conv2d and its gradient in x. */
#include "support/check.h"

#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

typedef struct {
    int64_t N, H, W, I, O, kh, kw;
    conv2d_attr attr;
} sizes;

static soda_shape y_shape(const sizes *z)
{
    const conv2d_attr *a = &z->attr;
    return SHAPE(z->N, (z->H + a->top + a->bottom - z->kh) / a->stride + 1,
                 (z->W + a->left + a->right - z->kw) / a->stride + 1, z->O);
}

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
    static const sizes cases[] = {
        {2, 5, 4, 3, 2, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
        {1, 7, 6, 2, 3, 3, 3, {.stride = 2, .bottom = 1, .right = 1}}, /* the VAE's downsampler */
        {1, 6, 5, 2, 3, 3, 2, {.stride = 2, .top = 2, .left = 1}},
        {1, 3, 5, 4, 3, 1, 1, {.stride = 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sizes *z = &cases[i];
        op_case c = {.attr.conv2d = z->attr};
        case_input(&c, SODA_F64, SHAPE(z->N, z->H, z->W, z->I), 1);
        case_input(&c, SODA_F64, SHAPE(z->O, z->I, z->kh, z->kw), 1);
        case_output(&c, SODA_F64, y_shape(z));
        op_case g = {.attr.conv2d = z->attr};
        g.attr.conv2d.in_h = z->H;
        g.attr.conv2d.in_w = z->W;
        case_input(&g, SODA_F64, y_shape(z), 1);
        case_given(&g, &c.in[1]);
        case_output(&g, SODA_F64, c.in[0].shape);
        case_run(&g, &ref_conv2d_grad_x);
        case_check_gradient(&c, &ref_conv2d, 0, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

/* Odd channels and pictures, the strides and paddings of the models; the last three are for
 * Winograd's algorithm: more than one chunk of channels each way, uneven padding, odd edges. */
static const sizes tested_cases[] = {
    {1, 1, 1, 1, 1, 1, 1, {.stride = 1}},
    {2, 5, 7, 4, 33, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 6, 33, 4, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 12, 17, 19, 3, 3, {.stride = 2, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {2, 8, 11, 16, 48, 3, 3, {.stride = 2, .bottom = 1, .right = 1}},
    {1, 6, 5, 3, 21, 3, 2, {.stride = 3, .top = 2, .left = 1, .bottom = 1}},
    {2, 5, 3, 65, 31, 1, 1, {.stride = 1}},
    {1, 7, 7, 13, 9, 5, 5, {.stride = 1, .top = 2, .left = 2, .bottom = 2, .right = 2}},
    {1, 21, 19, 33, 32, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 10, 35, 81, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 10, 11, 70, 19, 3, 3, {.stride = 1, .left = 2, .bottom = 1}},
    {1, 9, 7, 40, 72, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };

/* One product per term. Winograd's algorithm has fewer, and larger ones: about as much error. */
static op_bound bound_of(const sizes *z, int64_t channels)
{
    return (op_bound){.terms = (double)(channels * z->kh * z->kw + 1)};
}

static void conv2d_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        const op_bound bound = bound_of(z, z->I);
        for (int t = 0; t < 2 * OP_FROZEN_TYPES; t++) {
            const op_types *type = &op_type_list[t / 2];
            char label[80];
            op_case c = {.attr.conv2d = z->attr};
            case_input(&c, type->x, SHAPE(z->N, z->H, z->W, z->I), 1);
            case_weight(&c, type->w, type->x, SHAPE(z->O, z->I, z->kh, z->kw), 1);
            if (t % 2)
                case_weight(&c, type->w, type->x, SHAPE(z->O), 3);
            else
                case_absent(&c);
            case_output(&c, type->x, y_shape(z));
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2, t % 2 ? ", bias" : "");
            case_compare(&c, &TESTED(conv2d), &ref_conv2d, &bound, label);
            case_free(&c);
        }
    }
}

static void conv2d_grad_x_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        const op_bound bound = bound_of(z, z->O);
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            const op_types *type = &op_type_list[t];
            char label[80];
            op_case c = {.attr.conv2d = z->attr};
            c.attr.conv2d.in_h = z->H;
            c.attr.conv2d.in_w = z->W;
            case_input(&c, type->x, y_shape(z), 1);
            case_weight(&c, type->w, type->x, SHAPE(z->O, z->I, z->kh, z->kw), 1);
            case_output(&c, type->x, SHAPE(z->N, z->H, z->W, z->I));
            snprintf(label, sizeof label, "case %d, types %d", i, t);
            case_compare(&c, &TESTED(conv2d_grad_x), &ref_conv2d_grad_x, &bound, label);
            case_free(&c);
        }
    }
}

/* Enough pixels for the larger tiles of a GPU (bf16), and for more than one piece of what it
 * gathers (fp32). */
static void conv2d_of_large_pictures_matches_ref(void **state)
{
    (void)state;
    const conv2d_attr around = {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1};
    const sizes cases[] = {{1, 118, 118, 16, 8, 3, 3, around}, {1, 97, 89, 56, 3, 3, 3, around}};
    for (int i = 0; i < 2 && !SODA_TEST_SLOW; i++) {
        const sizes *z = &cases[i];
        const op_bound bound = bound_of(z, z->I);
        const soda_dtype type = i ? SODA_F32 : SODA_BF16;
        op_case c = {.attr.conv2d = z->attr};
        case_input(&c, type, SHAPE(z->N, z->H, z->W, z->I), 1);
        case_weight(&c, type, type, SHAPE(z->O, z->I, z->kh, z->kw), 1);
        case_weight(&c, type, type, SHAPE(z->O), 3);
        case_output(&c, type, y_shape(z));
        case_compare(&c, &TESTED(conv2d), &ref_conv2d, &bound, dtype_name(type));
        case_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d_slides_the_kernel),
        cmocka_unit_test(conv2d_gradient_matches_finite_differences),
        cmocka_unit_test(conv2d_matches_ref),
        cmocka_unit_test(conv2d_grad_x_matches_ref),
        cmocka_unit_test(conv2d_of_large_pictures_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
