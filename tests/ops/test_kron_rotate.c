/* kron_rotate: x (R1 x R2 x R3), and its gradients. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

typedef struct {
    int64_t rows, n[3];
} sizes;

static int64_t width(const sizes *z) { return z->n[0] * z->n[1] * z->n[2]; }

static void forward_case(op_case *c, const sizes *z, bool transposed, soda_dtype x, soda_dtype R)
{
    c->attr.kron_rotate.transposed = transposed;
    case_input(c, x, SHAPE(z->rows, width(z)), 1);
    for (int k = 0; k < 3; k++) case_input(c, R, SHAPE(z->n[k], z->n[k]), 0.7);
    case_output(c, x, SHAPE(z->rows, width(z)));
}

/* dz, x, R1, R2, R3 -> dx, dR1, dR2, dR3 */
static void gradient_case(op_case *g, const op_case *c)
{
    g->attr = c->attr;
    case_input(g, c->in[0].dtype, c->in[0].shape, 1);
    for (int i = 0; i < 4; i++) case_given(g, &c->in[i]);
    for (int i = 0; i < 4; i++) case_output(g, c->in[i].dtype, c->in[i].shape);
}

/* Entry (i,j) of R1 x R2 x R3, from the definition of the Kronecker product. */
static double entry(const op_case *c, const sizes *z, int64_t i, int64_t j)
{
    const int64_t n2 = z->n[1], n3 = z->n[2];
    return case_get(&c->in[1], i / (n2 * n3) * z->n[0] + j / (n2 * n3)) *
           case_get(&c->in[2], i / n3 % n2 * n2 + j / n3 % n2) *
           case_get(&c->in[3], i % n3 * n3 + j % n3);
}

static void kron_rotate_matches_the_dense_product(void **state)
{
    (void)state;
    const sizes z = {3, {2, 3, 5}}; /* unequal: a swapped axis cannot pass */
    enum { N = 30, ROWS = 3 };
    for (int transposed = 0; transposed < 2; transposed++) {
        op_case c = {.inputs = 0};
        double want[ROWS * N] = {0};
        forward_case(&c, &z, transposed, SODA_F64, SODA_F64);
        for (int64_t row = 0; row < ROWS; row++)
            for (int64_t j = 0; j < N; j++)
                for (int64_t i = 0; i < N; i++)
                    want[row * N + j] += case_get(&c.in[0], row * N + i) *
                                         (transposed ? entry(&c, &z, j, i) : entry(&c, &z, i, j));
        case_run(&c, &ref_kron_rotate);
        case_check_values(&c, want, ROWS * N, 1e-13); /* 30 terms of about 10, times 2^-53 */
        case_free(&c);
    }
}

static void kron_rotate_gradients_match_finite_differences(void **state)
{
    (void)state;
    static const sizes cases[] = {{3, {2, 3, 5}}, {4, {1, 1, 3}}, {2, {3, 1, 2}}};
    for (int i = 0; i < 6; i++) {
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        forward_case(&c, &cases[i / 2], i % 2, SODA_F64, SODA_F64);
        gradient_case(&g, &c);
        case_run(&g, &ref_kron_rotate_grad);
        for (int wrt = 0; wrt < 4; wrt++)
            case_check_gradient(&c, &ref_kron_rotate, wrt, &g.in[0], &g.out[wrt]);
        case_free(&c);
        case_free(&g);
    }
}

/* Sizes of the models (method.md, table T1), odd ones, and factors of 1. x is a token matrix, or a
 * frozen weight whose rows are rotated; then the result is fp32. */
static const sizes tested_cases[] = {
    {1, {1, 1, 1}},   {7, {2, 3, 5}},  {65, {1, 1, 17}}, {3, {7, 1, 9}},  {5, {3, 11, 1}},
    {43, {8, 8, 10}}, {9, {6, 8, 16}}, {5, {4, 16, 20}}, {1, {4, 8, 64}},
};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases, TESTED_TYPES = 5 };
static const struct {
    soda_dtype x, y;
    bool frozen;
} tested_types[TESTED_TYPES] = {{SODA_F32, SODA_F32, false},
                                {SODA_BF16, SODA_BF16, false},
                                {SODA_F32, SODA_F32, true},
                                {SODA_F16, SODA_F32, true},
                                {SODA_BF16, SODA_F32, true}};

static void put_x(op_case *c, const sizes *z, int t)
{
    const soda_shape x = SHAPE(z->rows, width(z));
    if (tested_types[t].frozen)
        case_weight(c, tested_types[t].x, tested_types[t].x, x, 1);
    else
        case_input(c, tested_types[t].x, x, 1);
}

/* Three sums in a row, of n1, n2 and n3 terms. */
static double terms_of(const sizes *z) { return (double)(z->n[0] + z->n[1] + z->n[2]); }

static void kron_rotate_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        const op_bound bound = {.terms = terms_of(z)};
        for (int t = 0; t < 2 * TESTED_TYPES; t++) {
            char label[80];
            op_case c = {.attr.kron_rotate.transposed = t % 2};
            put_x(&c, z, t / 2);
            for (int k = 0; k < 3; k++) case_input(&c, SODA_F32, SHAPE(z->n[k], z->n[k]), 0.7);
            case_output(&c, tested_types[t / 2].y, c.in[0].shape);
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2,
                     t % 2 ? ", transposed" : "");
            case_compare(&c, &TESTED(kron_rotate), &ref_kron_rotate, &bound, label);
            case_free(&c);
        }
    }
}

/* A factor's gradient sums over all rows and the other axes: products of a dz of about 1 and an x
 * that two or three factors have made 0.7 sqrt(n) times as large. A factor of 1 has one sum, which
 * may cancel: its standard deviation is the measure then. */
static void kron_rotate_grad_matches_ref(void **state)
{
    (void)state;
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        op_bound bound[4] = {{.terms = terms_of(z)}};
        for (int k = 0; k < 3; k++) {
            const double terms = (double)(z->rows * width(z) / z->n[k]);
            bound[1 + k].terms = terms_of(z) + terms;
            bound[1 + k].size = 0.343 * sqrt((double)width(z) * terms);
        }
        for (int t = 0; t < 2 * TESTED_TYPES; t++) {
            char label[80];
            op_case c = {.attr.kron_rotate.transposed = t % 2};
            case_input(&c, tested_types[t / 2].y, SHAPE(z->rows, width(z)), 1);
            put_x(&c, z, t / 2);
            for (int k = 0; k < 3; k++) case_input(&c, SODA_F32, SHAPE(z->n[k], z->n[k]), 0.7);
            case_output(&c, tested_types[t / 2].y, c.in[0].shape);
            for (int k = 0; k < 3; k++) case_output(&c, SODA_F32, c.in[2 + k].shape);
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2,
                     t % 2 ? ", transposed" : "");
            case_compare(&c, &TESTED(kron_rotate_grad), &ref_kron_rotate_grad, bound, label);
            case_free(&c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kron_rotate_matches_the_dense_product),
        cmocka_unit_test(kron_rotate_gradients_match_finite_differences),
        cmocka_unit_test(kron_rotate_matches_ref),
        cmocka_unit_test(kron_rotate_grad_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
