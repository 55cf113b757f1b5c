/* upsample (nearest) and its gradient. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "support/op_case.h"

/* 2x1 -> 5x3: source row = floor(2 p / 5) = 0,0,0,1,1. */
static void upsample_repeats_the_nearest_row(void **state)
{
    (void)state;
    op_case c = {.attr.upsample = {.h = 5, .w = 3}};
    double want[15];
    case_input(&c, SODA_F64, SHAPE(1, 2, 1, 1), 1);
    case_output(&c, SODA_F64, SHAPE(1, 5, 3, 1));
    for (int i = 0; i < 15; i++) want[i] = case_get(&c.in[0], i / 3 >= 3);
    case_run(&c, &ref_upsample);
    case_check_values(&c, want, 15, 0);
    case_free(&c);
}

static void upsample_gradient_matches_finite_differences(void **state)
{
    (void)state;
    static const upsample_attr sizes[] = {{6, 10}, {7, 11}, {5, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const soda_shape x = SHAPE(2, 3, 5, 2), y = SHAPE(2, sizes[i].h, sizes[i].w, 2);
        op_case c = {.attr.upsample = sizes[i]}, g = {.attr.upsample = {3, 5}};
        case_input(&c, SODA_F64, x, 1);
        case_output(&c, SODA_F64, y);
        case_input(&g, SODA_F64, y, 1);
        case_output(&g, SODA_F64, x);
        case_run(&g, &ref_upsample_grad);
        case_check_gradient(&c, &ref_upsample, 0, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

static void upsample_matches_ref(void **state) { (void)state, check_kernels(kernels_upsample); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upsample_repeats_the_nearest_row),
        cmocka_unit_test(upsample_gradient_matches_finite_differences),
        cmocka_unit_test(upsample_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
