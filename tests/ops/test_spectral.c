/* spectral_scale (SVD) and row_scale_add (LQ): the spectrum shifts and their gradients. */
#include "support/check.h"

#include "backend/ref/kernels.h"
#include "support/op_case.h"

enum { ROWS = 5, K = 7, DEAD = 2, EDGE = 4 };

/* s + delta is about 1, but below 0 in column DEAD and exactly 0 in column EDGE. */
static void put_spectrum(op_case *c, int first)
{
    for (int i = 0; i < K; i++) case_put(&c->in[first], i, 1 + 0.125 * i);
    for (int i = 0; i < K; i++) case_put(&c->in[first + 1], i, 0.0625 * (i - 3));
    case_put(&c->in[first + 1], DEAD, -3);
    case_put(&c->in[first + 1], EDGE, -case_get(&c->in[first], EDGE));
}

static void scale_case(op_case *c, soda_dtype x, soda_dtype s)
{
    case_input(c, x, SHAPE(ROWS, K), 1);
    case_input(c, s, SHAPE(K), 1);
    case_input(c, s, SHAPE(K), 1);
    put_spectrum(c, 1);
    case_output(c, x, SHAPE(ROWS, K));
}

static void scale_gradient_case(op_case *g, const op_case *c)
{
    case_input(g, c->in[0].dtype, SHAPE(ROWS, K), 1);
    for (int i = 0; i < 3; i++) case_given(g, &c->in[i]);
    case_output(g, c->in[0].dtype, SHAPE(ROWS, K));
    case_output(g, c->in[2].dtype, SHAPE(K));
}

static void closed_gates_give_exact_zeros(void **state)
{
    (void)state;
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    scale_case(&c, SODA_F64, SODA_F64);
    scale_gradient_case(&g, &c);
    case_run(&c, &ref_spectral_scale);
    case_run(&g, &ref_spectral_scale_grad);
    for (int i = 0; i < ROWS * K; i++) {
        const double shifted = case_get(&c.in[1], i % K) + case_get(&c.in[2], i % K);
        const bool closed = i % K == DEAD || i % K == EDGE;
        assert_true(case_get(&c.out[0], i) == (closed ? 0 : case_get(&c.in[0], i) * shifted));
        assert_true(case_get(&g.out[0], i) == (closed ? 0 : case_get(&g.in[0], i) * shifted));
        assert_true((case_get(&g.out[1], i % K) == 0) == closed);
    }
    case_free(&c);
    case_free(&g);
}

/* EDGE sits on the kink, where a central difference sees half a slope: moved off it. */
static void spectral_scale_gradients_match_finite_differences(void **state)
{
    (void)state;
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    scale_case(&c, SODA_F64, SODA_F64);
    case_put(&c.in[2], EDGE, 0.25);
    scale_gradient_case(&g, &c);
    case_run(&g, &ref_spectral_scale_grad);
    case_check_gradient(&c, &ref_spectral_scale, 0, &g.in[0], &g.out[0]);
    case_check_gradient(&c, &ref_spectral_scale, 2, &g.in[0], &g.out[1]);
    assert_true(case_get(&g.out[1], DEAD) == 0);
    case_free(&c);
    case_free(&g);
}

static void row_scale_add_shifts_the_first_rows(void **state)
{
    (void)state;
    const double w[] = {1, 2, 3, 4, 5, 6}, q[] = {1, -1, 2, 3}, delta[] = {10, 100};
    op_case c = {.inputs = 0};
    case_input(&c, SODA_F64, SHAPE(3, 2), 1);
    case_input(&c, SODA_F64, SHAPE(2, 2), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_output(&c, SODA_F64, SHAPE(3, 2));
    for (int i = 0; i < 6; i++) case_put(&c.in[0], i, w[i]);
    for (int i = 0; i < 4; i++) case_put(&c.in[1], i, q[i]);
    for (int i = 0; i < 2; i++) case_put(&c.in[2], i, delta[i]);
    case_run(&c, &ref_row_scale_add);
    case_check_values(&c, (double[]){11, -8, 203, 304, 5, 6}, 6, 0);
    case_free(&c);
}

static void row_scale_add_gradient_matches_finite_differences(void **state)
{
    (void)state;
    for (int64_t k = 3; k <= 5; k += 2) { /* m > k and m = k */
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        case_input(&c, SODA_F64, SHAPE(5, 7), 1);
        case_input(&c, SODA_F64, SHAPE(k, 7), 1);
        case_input(&c, SODA_F64, SHAPE(k), 1);
        case_output(&c, SODA_F64, SHAPE(5, 7));
        case_input(&g, SODA_F64, SHAPE(5, 7), 1);
        case_given(&g, &c.in[1]);
        case_output(&g, SODA_F64, SHAPE(k));
        case_run(&g, &ref_row_scale_add_grad);
        case_check_gradient(&c, &ref_row_scale_add, 2, &g.in[0], &g.out[0]);
        case_free(&c);
        case_free(&g);
    }
}

static void spectral_scale_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_spectral_scale);
}

static void row_scale_add_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_row_scale_add);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_gates_give_exact_zeros),
        cmocka_unit_test(spectral_scale_gradients_match_finite_differences),
        cmocka_unit_test(row_scale_add_shifts_the_first_rows),
        cmocka_unit_test(row_scale_add_gradient_matches_finite_differences),
        cmocka_unit_test(spectral_scale_matches_ref),
        cmocka_unit_test(row_scale_add_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
