/* column_scale_add: the shift of LQ on tokens, and its gradients. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "graph/graph.h"
#include "support/op_case.h"

static void shifts_the_first_columns(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, 6}, h[] = {1, -1, 2, 3}, delta[] = {10, 100};
    op_case c = {.inputs = 0};
    case_input(&c, SODA_F64, SHAPE(2, 1, 3), 1);
    case_input(&c, SODA_F64, SHAPE(2, 1, 2), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_output(&c, SODA_F64, SHAPE(2, 1, 3));
    for (int i = 0; i < 6; i++) case_put(&c.in[0], i, x[i]);
    for (int i = 0; i < 4; i++) case_put(&c.in[1], i, h[i]);
    for (int i = 0; i < 2; i++) case_put(&c.in[2], i, delta[i]);
    case_run(&c, &ref_column_scale_add);
    case_check_values(&c, (double[]){11, -98, 3, 24, 305, 6}, 6, 0);
    case_free(&c);
}

/* dx is dy: the rule of the graph hands it on. */
static void gradients_match_finite_differences(void **state)
{
    (void)state;
    for (int64_t k = 3; k <= 5; k += 2) { /* m > k and m = k */
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        case_input(&c, SODA_F64, SHAPE(7, 5), 1);
        case_input(&c, SODA_F64, SHAPE(7, k), 1);
        case_input(&c, SODA_F64, SHAPE(k), 1);
        case_output(&c, SODA_F64, SHAPE(7, 5));
        case_input(&g, SODA_F64, SHAPE(7, 5), 1);
        case_given(&g, &c.in[1]);
        case_given(&g, &c.in[2]);
        case_output(&g, SODA_F64, SHAPE(7, k));
        case_output(&g, SODA_F64, SHAPE(k));
        case_run(&g, &ref_column_scale_add_grad);
        case_check_gradient(&c, &ref_column_scale_add, 0, &g.in[0], &g.in[0]);
        case_check_gradient(&c, &ref_column_scale_add, 1, &g.in[0], &g.out[0]);
        case_check_gradient(&c, &ref_column_scale_add, 2, &g.in[0], &g.out[1]);
        case_free(&c);
        case_free(&g);
    }
}

/* More columns than x has, other rows, another type, a delta that is not h's. */
static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct {
        soda_shape h, delta;
        soda_dtype type;
    } wrong[] = {{SHAPE(2, 6), SHAPE(6), SODA_F32},
                 {SHAPE(3, 4), SHAPE(4), SODA_F32},
                 {SHAPE(2, 4), SHAPE(4), SODA_BF16},
                 {SHAPE(2, 4), SHAPE(5), SODA_F32}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        soda_graph *g;
        CHECK_OK(graph_create(SODA_F32, &g));
        const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(2, 5));
        const soda_id h = graph_input(g, "h", wrong[i].type, wrong[i].h);
        const soda_id delta = graph_input(g, "delta", SODA_F32, wrong[i].delta);
        assert_int_equal(graph_column_scale_add(g, x, h, delta), NO_VALUE);
        CHECK_FAILS(graph_status(g), SODA_ERR_INPUT);
        check_message_has("column_scale_add: ");
        graph_destroy(g);
    }
}

static void tested_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_column_scale_add);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_the_first_columns),
        cmocka_unit_test(gradients_match_finite_differences),
        cmocka_unit_test(tested_matches_ref),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
