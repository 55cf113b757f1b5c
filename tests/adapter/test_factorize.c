/* SVD and LQ: they give the weight back, their bases are orthonormal, their signs are fixed. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>

#include "adapter/factorize.h"

static const int64_t shapes[][2] = {{23, 37}, {31, 31}, {41, 17}, {1, 9}, {9, 1}, {1, 1}};
enum { SHAPES = 6, MOST = 41 * 41 };

/* Largest | <row i, row j> - [i == j] | of `rows` rows with strides; sums in fp64. */
static double not_orthonormal(const float *x, int64_t rows, int64_t length, int64_t row_stride,
                              int64_t stride)
{
    double worst = 0;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double dot = i == j ? -1 : 0;
            for (int64_t c = 0; c < length; c++)
                dot +=
                    (double)x[i * row_stride + c * stride] * (double)x[j * row_stride + c * stride];
            worst = fmax(worst, fabs(dot));
        }
    }
    return worst;
}

/* Unit vectors rounded to fp32: a product of two is off by at most 2 * 2^-24 = 1.2e-7. */
static const double ORTHONORMAL = 1.3e-7;

/* w is rebuilt from three rounded factors: sum over k of |u s v| 3 * 2^-24, and sum |u s v| is at
 * most ||s||_2 by Cauchy-Schwarz; entries of w are normals, so ||s||_2 = sqrt(m n) < 37. */
static const double REBUILT = 37 * 3 * 6e-8;

static void svd_gives_the_weight_back(void **state)
{
    (void)state;
    float w[MOST], U[MOST], s[41], Vh[MOST];
    for (int i = 0; i < SHAPES; i++) {
        const int64_t m = shapes[i][0], n = shapes[i][1], k = m < n ? m : n;
        check_fill_normal(w, m * n, 5, 1);
        CHECK_OK(factorize_svd(w, m, n, U, s, Vh));
        for (int64_t r = 0; r < m; r++) {
            for (int64_t c = 0; c < n; c++) {
                double sum = 0;
                for (int64_t j = 0; j < k; j++)
                    sum += (double)U[r * k + j] * (double)s[j] * (double)Vh[j * n + c];
                assert_true(fabs(sum - (double)w[r * n + c]) <= REBUILT);
            }
        }
        assert_true(not_orthonormal(U, k, m, 1, k) <= ORTHONORMAL);
        assert_true(not_orthonormal(Vh, k, n, n, 1) <= ORTHONORMAL);
        for (int64_t j = 0; j < k; j++) {
            assert_true(s[j] >= 0 && (j == 0 || s[j] <= s[j - 1]));
            float largest = 0;
            for (int64_t r = 0; r < m; r++)
                if (fabsf(U[r * k + j]) > fabsf(largest)) largest = U[r * k + j];
            assert_true(largest > 0);
        }
    }
}

/* Singular values that are known: a diagonal with signs, in a disturbed order. */
static void svd_sorts_known_values(void **state)
{
    (void)state;
    const float w[3 * 4] = {0, -2, 0, 0, 0, 0, 0, 5, 0.5f, 0, 0, 0};
    float U[9], s[3], Vh[12];
    CHECK_OK(factorize_svd(w, 3, 4, U, s, Vh));
    const float want_s[3] = {5, 2, 0.5f}, want_Vh[12] = {0, 0, 0, 1, 0, -1, 0, 0, 1, 0, 0, 0};
    check_max_diff(s, want_s, 3, 1e-6);
    check_max_diff(Vh, want_Vh, 12, 1e-7);
}

/* L = w Q' must be lower triangular with diag(L) >= 0, and L Q must be w. */
static void lq_gives_the_weight_back(void **state)
{
    (void)state;
    float w[MOST], Q[MOST], diagonal[41];
    double L[MOST];
    for (int i = 0; i < SHAPES; i++) {
        const int64_t m = shapes[i][0], n = shapes[i][1], k = m < n ? m : n;
        check_fill_normal(w, m * n, 6, 1);
        CHECK_OK(factorize_lq(w, m, n, Q, diagonal));
        assert_true(not_orthonormal(Q, k, n, n, 1) <= ORTHONORMAL);
        for (int64_t e = 0; e < m * k; e++) {
            L[e] = 0;
            for (int64_t c = 0; c < n; c++)
                L[e] += (double)w[e / k * n + c] * (double)Q[e % k * n + c];
        }
        for (int64_t r = 0; r < m; r++) {
            for (int64_t j = r + 1; j < k; j++) assert_true(fabs(L[r * k + j]) <= REBUILT);
            if (r < k) assert_true(L[r * k + r] > 0);
            if (r < k) assert_true(fabs(L[r * k + r] - (double)diagonal[r]) <= REBUILT);
            for (int64_t c = 0; c < n; c++) {
                double sum = 0;
                for (int64_t j = 0; j < k; j++) sum += L[r * k + j] * (double)Q[j * n + c];
                assert_true(fabs(sum - (double)w[r * n + c]) <= REBUILT);
            }
        }
    }
}

/* A weight of rank 1 (and one of rank 0) still has whole bases. */
static void deficient_weights_have_whole_bases(void **state)
{
    (void)state;
    float w[5 * 7] = {0}, U[25], s[5], Vh[35], Q[35], diagonal[5];
    for (int zero = 0; zero < 2; zero++) {
        for (int i = 0; i < 35; i++) w[i] = zero ? 0 : (float)(i / 7 + 1) * (float)(i % 7 - 3);
        CHECK_OK(factorize_svd(w, 5, 7, U, s, Vh));
        CHECK_OK(factorize_lq(w, 5, 7, Q, diagonal));
        assert_true(not_orthonormal(U, 5, 5, 1, 5) <= ORTHONORMAL);
        assert_true(not_orthonormal(Vh, 5, 7, 7, 1) <= ORTHONORMAL);
        assert_true(not_orthonormal(Q, 5, 7, 7, 1) <= ORTHONORMAL);
        assert_true(s[1] <= 1e-13f);
    }
}

static void same_weight_gives_same_bits(void **state)
{
    (void)state;
    enum { M = 67, N = 129 };
    float *w = malloc(M * N * sizeof *w), *U[2], *Vh[2], s[2][M];
    check_fill_normal(w, M * N, 7, 1);
    for (int run = 0; run < 2; run++) {
        U[run] = malloc(M * M * sizeof *w);
        Vh[run] = malloc(M * N * sizeof *w);
    }
#pragma omp parallel for num_threads(2)
    for (int run = 0; run < 2; run++)
        if (factorize_svd(w, M, N, U[run], s[run], Vh[run]) != SODA_OK) U[run][0] = NAN;
    assert_memory_equal(U[0], U[1], M * M * sizeof *w);
    assert_memory_equal(s[0], s[1], sizeof s[0]);
    assert_memory_equal(Vh[0], Vh[1], M * N * sizeof *w);
    assert_false(isnan(U[0][0]));
    for (int run = 0; run < 2; run++) free(U[run]);
    for (int run = 0; run < 2; run++) free(Vh[run]);
    free(w);
}

static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    float w[6] = {1, 2, 3, 4, INFINITY, 6}, U[4], s[2], Vh[6], Q[6];
    CHECK_FAILS(factorize_svd(w, 2, 3, U, s, Vh), SODA_ERR_NUMERIC);
    check_message_has("[1,1]");
    w[4] = NAN;
    CHECK_FAILS(factorize_lq(w, 2, 3, Q, s), SODA_ERR_NUMERIC);
    check_message_has("[1,1]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(svd_gives_the_weight_back),
        cmocka_unit_test(svd_sorts_known_values),
        cmocka_unit_test(lq_gives_the_weight_back),
        cmocka_unit_test(deficient_weights_have_whole_bases),
        cmocka_unit_test(same_weight_gives_same_bits),
        cmocka_unit_test(weights_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
