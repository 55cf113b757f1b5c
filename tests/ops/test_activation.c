/* The activations and geglu. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "support/op_case.h"

enum { KINDS = 4 };
static const soda_activation kinds[KINDS] = {ACT_SILU, ACT_GELU, ACT_QUICK_GELU, ACT_RELU};

/* x = -3, 0, 0.5, 2, from the definitions with 20 digits (mpmath). */
static void activations_have_known_values(void **state)
{
    (void)state;
    const double want[KINDS][4] = {
        [ACT_SILU] = {-0.14227761953270035, 0.0, 0.3112296656009273, 1.7615941559557649},
        [ACT_GELU] = {-0.0040496940948902835, 0.0, 0.34573123063700656, 1.9544997361036416},
        [ACT_QUICK_GELU] = {-0.018071309707785966, 0.0, 0.35038843660638014, 1.9356586231442081},
        [ACT_RELU] = {0, 0, 0.5, 2},
    };
    const double x[] = {-3, 0, 0.5, 2};
    for (int k = 0; k < KINDS; k++) {
        op_case c = {.attr.activation.kind = kinds[k]};
        case_input(&c, SODA_F64, SHAPE(4), 1);
        case_output(&c, SODA_F64, SHAPE(4));
        for (int i = 0; i < 4; i++) case_put(&c.in[0], i, x[i]);
        case_run(&c, &ref_activation);
        case_check_values(&c, want[kinds[k]], 4, 1e-15);
        case_free(&c);
    }
}

/* The second half is the gate: 3 gelu(0.5), and not 0.5 gelu(3). */
static void geglu_gates_with_the_second_half(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    case_input(&c, SODA_F64, SHAPE(1, 4), 1);
    case_output(&c, SODA_F64, SHAPE(1, 2));
    for (int i = 0; i < 4; i++) case_put(&c.in[0], i, (double[]){3, -1, 0.5, 2}[i]);
    case_run(&c, &ref_geglu);
    case_check_values(&c, (double[]){3 * 0.34573123063700656, -1.9544997361036416}, 2, 1e-15);
    case_free(&c);
}

static void activation_gradients_match_finite_differences(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        const soda_shape x = SHAPE(3, 5, 7);
        op_case c = {.attr.activation.kind = kinds[k]};
        case_input(&c, SODA_F64, x, 2);
        case_output(&c, SODA_F64, x);
        op_case g = {.attr = c.attr};
        case_input(&g, SODA_F64, x, 1);
        case_given(&g, &c.in[0]);
        case_output(&g, SODA_F64, x);
        case_run(&g, &ref_activation_grad);
        case_check_gradient(&c, &ref_activation, 0, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

static void geglu_gradient_matches_finite_differences(void **state)
{
    (void)state;
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    case_input(&c, SODA_F64, SHAPE(3, 5, 14), 1);
    case_output(&c, SODA_F64, SHAPE(3, 5, 7));
    case_input(&g, SODA_F64, SHAPE(3, 5, 7), 1);
    case_given(&g, &c.in[0]);
    case_output(&g, SODA_F64, SHAPE(3, 5, 14));
    case_run(&g, &ref_geglu_grad);
    case_check_gradient(&c, &ref_geglu, 0, &g.in[0], &g.out[0]);
    case_free(&c);
    case_free(&g);
}

static void activations_match_ref(void **state) { (void)state, check_kernels(kernels_activation); }

static void geglu_matches_ref(void **state) { (void)state, check_kernels(kernels_geglu); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_known_values),
        cmocka_unit_test(geglu_gates_with_the_second_half),
        cmocka_unit_test(activation_gradients_match_finite_differences),
        cmocka_unit_test(geglu_gradient_matches_finite_differences),
        cmocka_unit_test(activations_match_ref),
        cmocka_unit_test(geglu_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
