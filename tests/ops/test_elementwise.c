/* add, sum_rows, scale, cast, concat, slice. */
#include "support/check.h"

#include <math.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"

static void add_spreads_a_row_over_each_image(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    double want[2 * 3 * 5];
    case_input(&c, SODA_F64, SHAPE(2, 3, 5), 1);
    case_input(&c, SODA_F64, SHAPE(2, 5), 1);
    case_output(&c, SODA_F64, SHAPE(2, 3, 5));
    for (int n = 0; n < 2; n++)
        for (int m = 0; m < 3; m++)
            for (int k = 0; k < 5; k++)
                want[(n * 3 + m) * 5 + k] =
                    case_get(&c.in[0], (n * 3 + m) * 5 + k) + case_get(&c.in[1], n * 5 + k);
    case_run(&c, &ref_add);
    case_check_values(&c, want, 30, 0);

    op_case g = {.inputs = 0}; /* the gradient in the row is the sum of dy over the image */
    case_input(&g, SODA_F64, SHAPE(2, 3, 5), 1);
    case_output(&g, SODA_F64, SHAPE(2, 5));
    case_run(&g, &ref_sum_rows);
    case_check_gradient(&c, &ref_add, 1, &g.in[0], &g.out[0]);
    case_free(&c);
    case_free(&g);
}

static void add_of_equal_shapes_is_elementwise(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    double want[21];
    case_input(&c, SODA_F64, SHAPE(3, 7), 1);
    case_input(&c, SODA_F64, SHAPE(3, 7), 1);
    case_output(&c, SODA_F64, SHAPE(3, 7));
    for (int i = 0; i < 21; i++) want[i] = case_get(&c.in[0], i) + case_get(&c.in[1], i);
    case_run(&c, &ref_add);
    case_check_values(&c, want, 21, 0);
    case_free(&c);
}

static void slices_of_a_concat_are_its_parts(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    case_input(&c, SODA_F64, SHAPE(2, 3, 5), 1);
    case_input(&c, SODA_F64, SHAPE(2, 3, 4), 1);
    case_output(&c, SODA_F64, SHAPE(2, 3, 9));
    case_run(&c, &ref_concat);
    for (int part = 0; part < 2; part++) {
        double want[30];
        const int64_t count = shape_count(&c.in[part].shape);
        op_case s = {.attr.slice = {.start = part ? 5 : 0, .length = part ? 4 : 5}};
        case_given(&s, &c.out[0]);
        case_output(&s, SODA_F64, c.in[part].shape);
        case_run(&s, &ref_slice);
        for (int64_t i = 0; i < count; i++) want[i] = case_get(&c.in[part], i);
        case_check_values(&s, want, count, 0);
        case_free(&s);
    }
    case_free(&c);
}

static void scale_multiplies(void **state)
{
    (void)state;
    op_case c = {.attr.scale.factor = -0.375f};
    double want[15];
    case_input(&c, SODA_F64, SHAPE(3, 5), 1);
    case_output(&c, SODA_F64, SHAPE(3, 5));
    for (int i = 0; i < 15; i++) want[i] = -0.375 * case_get(&c.in[0], i);
    case_run(&c, &ref_scale);
    case_check_values(&c, want, 15, 0);
    case_free(&c);
}

/* bf16 keeps 8 bits: between 1 and 2 its numbers are 2^-7 apart. */
static void cast_rounds_to_nearest_even_once(void **state)
{
    (void)state;
    static const double pairs[][2] = {
        {1 + 0x1p-8, 1},                            /* the middle: to even */
        {1 + 3 * 0x1p-8, 1 + 0x1p-6},               /* the next middle: up, to even */
        {1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7},         /* above the middle by less than fp32 sees */
        {1 + 3 * 0x1p-8 - 0x1p-40, 1 + 0x1p-7},     /* and below */
        {-1 - 0x1p-8 - 0x1p-40, -1 - 0x1p-7},       /* away from 0 on both sides */
        {0x1p127 * (2 - 0x1p-8), (double)INFINITY}, /* the middle above the largest */
        {0x1p-133 * 1.5, 0x1p-132},                 /* subnormal, in the middle: to even */
    };
    enum { COUNT = sizeof pairs / sizeof *pairs };
    op_case c = {.attr.cast.dtype = SODA_BF16};
    case_input(&c, SODA_F64, SHAPE(COUNT), 1);
    case_output(&c, SODA_BF16, SHAPE(COUNT));
    for (int i = 0; i < COUNT; i++) case_put(&c.in[0], i, pairs[i][0]);
    case_run(&c, &ref_cast);
    for (int i = 0; i < COUNT; i++) assert_true(case_get(&c.out[0], i) == pairs[i][1]);
    case_free(&c);
}

static void add_and_sum_rows_match_ref(void **state) { (void)state, check_kernels(kernels_add); }

static void concat_and_slice_match_ref(void **state) { (void)state, check_kernels(kernels_concat); }

static void scale_and_cast_match_ref(void **state) { (void)state, check_kernels(kernels_scale); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_spreads_a_row_over_each_image),
        cmocka_unit_test(add_of_equal_shapes_is_elementwise),
        cmocka_unit_test(slices_of_a_concat_are_its_parts),
        cmocka_unit_test(scale_multiplies),
        cmocka_unit_test(cast_rounds_to_nearest_even_once),
        cmocka_unit_test(add_and_sum_rows_match_ref),
        cmocka_unit_test(concat_and_slice_match_ref),
        cmocka_unit_test(scale_and_cast_match_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
