/* Merged weights: equal to the unmerged layer, to a dense rotation, and to what SODA promises. */
#include "adapter/layer_case.h"

#include "adapter/merge.h"

/* y of the layer in the graph, fp64, against x W' + b: sums of up to 42 terms in another order. */
static void merged_equals_unmerged(void **state)
{
    (void)state;
    static layer_case c;
    double W[CASE_MOST], y[CASE_MOST], want[CASE_MOST];
    for (int which = 0; which < case_count(); which++) {
        const soda_method *method = case_method(which);
        const int64_t m = case_shapes[case_shape(which)].m;
        case_create(&c, method, m, case_shapes[case_shape(which)].factor, true);
        const int64_t n = c.layer.n;
        CHECK_OK(c.layer.method->merge(&c.layer, c.value, W));
        for (int64_t i = 0; i < CASE_ROWS * m; i++) {
            y[i] = (double)c.bias[i % m];
            for (int64_t j = 0; j < n; j++) y[i] += (double)c.x[i / m * n + j] * W[i % m * n + j];
        }
        layer_run r;
        run_create(&r, &c, case_first_route(method), SODA_F64, backend_ref());
        run_read(&r, "y", want, CASE_ROWS * m);
        /* SVD: s + delta is rounded to fp32 here, as on the backends that train: 2^-24 */
        assert_true(relative_l2(y, want, CASE_ROWS * m) <= (case_is_svd(method) ? 6e-8 : 1e-14));
        run_destroy(&r);
    }
}

/* W = Ws R' with R[i,j] = R1[i1,j1] R2[i2,j2] R3[i3,j3], i = (i1 n2 + i2) n3 + i3, written out. */
static void factors_are_ordered_as_a_dense_kronecker_product(void **state)
{
    (void)state;
    static layer_case c;
    double W[CASE_MOST];
    const int64_t f[3] = {2, 3, 5}, m = 11, n = 30;
    case_create(&c, &method_soda_lq, m, f, true);
    CHECK_OK(c.layer.method->merge(&c.layer, c.value, W));
    for (int64_t e = 0; e < m * n; e++) {
        const int64_t row = e / n, j = e % n;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            const double R = (double)c.param[0][j / 15 * 2 + i / 15] *
                             (double)c.param[1][j / 5 % 3 * 3 + i / 5 % 3] *
                             (double)c.param[2][j % 5 * 5 + i % 5];
            sum += R * ((double)c.w0[row * n + i] +
                        (double)c.param[3][row] * (double)c.basis[0][row * n + i]);
        }
        assert_true(fabs(sum - W[e]) <= 1e-14); /* 30 terms below 1, 2^-53 each */
    }
}

/* The rotation keeps singular values: those of W are relu(s + delta), sorted. LQ: W W' = Ws Ws'.
 * R is orthogonal to 2^-24 an entry, W is rounded to fp32: a norm below 11 times 3 * 6e-8. */
static void spectrum_is_what_delta_says(void **state)
{
    (void)state;
    static layer_case c;
    static float w[CASE_MOST], U[CASE_MOST], s[42], Vh[CASE_MOST];
    double W[CASE_MOST];
    for (int shape = 0; shape < CASE_SHAPES; shape++) {
        const int64_t m = case_shapes[shape].m;
        case_create(&c, &method_soda_svd, m, case_shapes[shape].factor, true);
        const int64_t n = c.layer.n, k = m < n ? m : n;
        CHECK_OK(c.layer.method->merge(&c.layer, c.value, W));
        for (int64_t i = 0; i < m * n; i++) w[i] = (float)W[i];
        CHECK_OK(factorize_svd(w, m, n, U, s, Vh));
        for (int64_t i = 0; i < k; i++) {
            /* rank of relu(s_i + delta_i) among all: how many are larger */
            const float want = fmaxf(c.basis[1][i] + c.param[3][i], 0);
            int64_t rank = 0;
            for (int64_t j = 0; j < k; j++) {
                const float other = fmaxf(c.basis[1][j] + c.param[3][j], 0);
                rank += other > want || (other == want && j < i);
            }
            assert_true(fabsf(s[rank] - want) <= 2e-6f);
        }
    }
}

static void lq_rotation_keeps_the_gram_matrix(void **state)
{
    (void)state;
    static layer_case c;
    double W[CASE_MOST];
    const int64_t m = 11, n = 30;
    case_create(&c, &method_soda_lq, m, case_shapes[0].factor, true);
    memset(c.param[3], 0, sizeof c.param[3]);
    CHECK_OK(c.layer.method->merge(&c.layer, c.value, W));
    for (int64_t e = 0; e < m * m; e++) {
        double got = 0, want = 0;
        for (int64_t j = 0; j < n; j++) {
            got += W[e / m * n + j] * W[e % m * n + j];
            want += (double)c.w0[e / m * n + j] * (double)c.w0[e % m * n + j];
        }
        assert_true(fabs(got - want) <= 2e-6);
    }
    assert_true(fabs(W[0] - (double)c.w0[0]) > 1e-3); /* and it did rotate */
}

/* W0 + w (W - W0), from base weights of each float type. */
static void residuals_add_up(void **state)
{
    (void)state;
    static layer_case c;
    double W[CASE_MOST], sum[CASE_MOST] = {0};
    uint16_t narrow[CASE_MOST];
    case_create(&c, &method_soda_lq, 13, case_shapes[3].factor, true);
    const int64_t count = 13 * c.layer.n;
    for (int64_t i = 0; i < count; i++) narrow[i] = bf16_from_float(c.w0[i]);
    for (int64_t i = 0; i < count; i++) c.w0[i] = bf16_to_float(narrow[i]);
    CHECK_OK(c.layer.method->merge(&c.layer, c.value, W));
    CHECK_OK(merge_add_residual(&c.layer, c.value, 0.75, sum));
    c.layer.w0.source.dtype = SODA_BF16;
    c.layer.w0.source.data = narrow;
    CHECK_OK(merge_add_residual(&c.layer, c.value, -0.25, sum));
    for (int64_t i = 0; i < count; i++)
        assert_true(fabs(sum[i] - 0.5 * (W[i] - (double)c.w0[i])) <= 1e-15);
}

static void weights_of_other_types_are_refused(void **state)
{
    (void)state;
    const uint16_t half[3] = {0x3c00, 0xc500, 0x0001}; /* 1, -5, 2^-24 in fp16 */
    float values[3];
    soda_weight w = {"w", {SODA_F16, SHAPE(3), (void *)half}, false};
    CHECK_OK(merge_read_weight(&w, values));
    assert_true(values[0] == 1 && values[1] == -5 && values[2] == 0x1p-24f);
    w.source.dtype = SODA_I32;
    CHECK_FAILS(merge_read_weight(&w, values), SODA_ERR_INPUT);
    check_message_has("int32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_equals_unmerged),
        cmocka_unit_test(factors_are_ordered_as_a_dense_kronecker_product),
        cmocka_unit_test(spectrum_is_what_delta_says),
        cmocka_unit_test(lq_rotation_keeps_the_gram_matrix),
        cmocka_unit_test(residuals_add_up),
        cmocka_unit_test(weights_of_other_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
