/* attention, whole and causal. */
#include "support/check.h"

#include <math.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"
#include "verify/case_layouts.h"

/* One head of width 1, q = 1, 2; logits q k with k = 0, log 3: weights 1/4, 3/4 and 1/10, 9/10. */
static void attention_weighs_values_by_softmax(void **state)
{
    (void)state;
    for (int causal = 0; causal < 2; causal++) {
        op_case c = {.inputs = 0};
        case_attention_forward(&c, &(case_attention){1, 2, 2, 1, 1, causal, 0}, SODA_F64, SODA_F64);
        case_put(&c.in[0], 0, 1);
        case_put(&c.in[0], 1, 2);
        case_put(&c.in[1], 0, 0);
        case_put(&c.in[1], 1, log(3));
        case_put(&c.in[2], 0, 20);
        case_put(&c.in[2], 1, 60);
        case_run(&c, &ref_attention);
        /* Causal: the first query sees the first key alone. */
        case_check_values(&c, (double[]){causal ? 20 : 50, 56}, 2, 1e-13);
        assert_true(fabs(case_get(&c.out[1], 0) - (causal ? 0 : log(4))) < 1e-15);
        assert_true(fabs(case_get(&c.out[1], 1) - log(10)) < 1e-15);
        case_free(&c);
    }
}

static void attention_gradients_match_finite_differences(void **state)
{
    (void)state;
    static const case_attention cases[] = {
        {2, 3, 5, 2, 3, false, 0}, {1, 5, 3, 3, 2, false, 0}, {2, 5, 5, 2, 3, true, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        case_attention_forward(&c, &cases[i], SODA_F64, SODA_F64);
        case_run(&c, &ref_attention);
        case_attention_grad(&g, &c);
        case_run(&g, &ref_attention_grad);
        for (int wrt = 0; wrt < 3; wrt++)
            case_check_gradient(&c, &ref_attention, wrt, &g.in[5], &g.out[wrt]);
        case_free(&c);
        case_free(&g);
    }
}

/* Logits of 4000 and more neither overflow nor lose the row. */
static void attention_survives_large_logits(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    case_attention_forward(&c, &(case_attention){1, 3, 5, 1, 4, false, 0}, SODA_F64, SODA_F64);
    for (int64_t i = 0; i < 12; i++) case_put(&c.in[0], i, 100);
    for (int64_t i = 0; i < 20; i++) case_put(&c.in[1], i, i / 4 == 3 ? 20 : 10);
    case_run(&c, &ref_attention);
    for (int64_t i = 0; i < 12; i++) /* all the weight is on key 3 */
        assert_true(case_get(&c.out[0], i) == case_get(&c.in[2], 3 * 4 + i % 4));
    for (int64_t i = 0; i < 3; i++) assert_true(case_get(&c.out[1], i) == 4000);
    case_free(&c);
}

static void check_path(const char *path, soda_dtype dtype, const void *context)
{
    kernel_check check = tested_kernels();
    (void)context;
    kernels_attention_loud_of(&check, dtype);
    CHECK_OK(status_prefix(status_take(&check.slot), "%s", path));
}

static void attention_of_large_logits_matches_ref(void **state)
{
    (void)state;
    tested_attention(SODA_F32, check_path, NULL);
    tested_attention(SODA_BF16, check_path, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_weighs_values_by_softmax),
        cmocka_unit_test(attention_survives_large_logits),
        cmocka_unit_test(attention_gradients_match_finite_differences),
        cmocka_unit_test(attention_of_large_logits_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
