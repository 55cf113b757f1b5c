/* kron_rotate: x (R1 x R2 x R3), and its gradients. */
#include "support/check.h"

#include <math.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"

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

static void kron_rotate_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_kron_rotate);
}

static void kron_rotate_grad_matches_ref(void **state)
{
    (void)state, check_kernels(kernels_kron_rotate_grad);
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
