/* spectral_scale (SVD) and row_scale_add (LQ): the spectrum shifts and their gradients. */
#include "support/check.h"

#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

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

/* rows (or m), k, n; some gates are closed, because s + delta is about normal. */
static const int64_t tested_cases[][3] = {
    {1, 1, 1}, {5, 3, 7}, {33, 17, 65}, {65, 65, 33}, {129, 96, 640}};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases, TESTED_TYPES = 5 };

/* x or w and q: computed, or frozen weights; then the result is fp32. */
static const struct {
    soda_dtype x, y;
    bool frozen;
} tested_types[TESTED_TYPES] = {{SODA_F32, SODA_F32, false},
                                {SODA_BF16, SODA_BF16, false},
                                {SODA_F32, SODA_F32, true},
                                {SODA_F16, SODA_F32, true},
                                {SODA_BF16, SODA_F32, true}};

static void put_matrix(op_case *c, int t, int64_t m, int64_t n)
{
    if (tested_types[t].frozen)
        case_weight(c, tested_types[t].x, tested_types[t].x, SHAPE(m, n), 1);
    else
        case_input(c, tested_types[t].x, SHAPE(m, n), 1);
}

/* s + delta and the product: two roundings; ddelta sums products of about 1 over the
 * rows. */
static void spectral_scale_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES * TESTED_TYPES; i++) {
        const int t = i % TESTED_TYPES;
        const int64_t rows = tested_cases[i / TESTED_TYPES][0],
                      k = tested_cases[i / TESTED_TYPES][1];
        const op_bound bound[] = {{.terms = 2}, {.terms = (double)rows + 2, .size = 1}};
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %d, types %d", i / TESTED_TYPES, t);
        put_matrix(&c, t, rows, k);
        case_weight(&c, SODA_F32, SODA_F32, SHAPE(k), 1);
        case_input(&c, SODA_F32, SHAPE(k), 1);
        if (k > 1) case_put(&c.in[2], 1, -case_get(&c.in[1], 1));
        case_output(&c, tested_types[t].y, SHAPE(rows, k));
        case_compare(&c, &TESTED(spectral_scale), &ref_spectral_scale, bound, label);
        case_input(&g, tested_types[t].y, SHAPE(rows, k), 1);
        put_matrix(&g, t, rows, k);
        case_given_weight(&g, &c.in[1]);
        case_given(&g, &c.in[2]);
        case_output(&g, tested_types[t].y, SHAPE(rows, k));
        case_output(&g, SODA_F32, SHAPE(k));
        case_compare(&g, &TESTED(spectral_scale_grad), &ref_spectral_scale_grad, bound, label);
        for (int64_t j = 0; j < k; j++) /* closed gates: exactly 0, not only close */
            if (case_get(&c.in[1], j) + case_get(&c.in[2], j) <= 0)
                assert_true(case_get(&g.out[1], j) == 0);
        case_free(&c);
        case_free(&g);
    }
}

/* A product and a sum: two roundings; ddelta sums products of about 1 over the columns. */
static void row_scale_add_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES * TESTED_TYPES; i++) {
        const int t = i % TESTED_TYPES;
        const int64_t *z = tested_cases[i / TESTED_TYPES];
        const op_bound bound = {.terms = 2}, sum = {.terms = (double)z[2] + 2, .size = 1};
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %d, types %d", i / TESTED_TYPES, t);
        put_matrix(&c, t, z[0], z[2]);
        put_matrix(&c, t, z[1], z[2]);
        case_input(&c, SODA_F32, SHAPE(z[1]), 1);
        case_output(&c, tested_types[t].y, SHAPE(z[0], z[2]));
        case_compare(&c, &TESTED(row_scale_add), &ref_row_scale_add, &bound, label);
        case_input(&g, tested_types[t].y, SHAPE(z[0], z[2]), 1);
        put_matrix(&g, t, z[1], z[2]);
        case_output(&g, SODA_F32, SHAPE(z[1]));
        case_compare(&g, &TESTED(row_scale_add_grad), &ref_row_scale_add_grad, &sum, label);
        case_free(&c);
        case_free(&g);
    }
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
