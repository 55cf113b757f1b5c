/* solver: bases of weights by cuSOLVER, on a simulated GPU, are those of LAPACK up to rounding,
 * whatever the shape; what does not converge is said. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>

#include "cuda/backend.h"
#include "cuda/solver.h"

enum { MOST = 40 * 40 };

static const int64_t shapes[][2] = {{24, 24}, {40, 17}, {13, 37}, {1, 9}, {9, 1}};

static void make(int64_t count, float *w)
{
    for (int64_t i = 0; i < count; i++) w[i] = (float)sin((double)(i * i % 1009) + 0.5 * (double)i);
}

/* fp64 results that differ in their last bits, rounded to fp32: one unit of 2^-24 of numbers
 * below 8. */
static void same(const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (fabsf(a[i] - b[i]) > 8 * 0x1p-23f)
            fail_msg("element %lld: %g by LAPACK, %g by cuSOLVER", (long long)i, (double)a[i],
                     (double)b[i]);
}

static void bases_are_those_of_lapack(void **state)
{
    (void)state;
    static float w[MOST], one[3][MOST], other[3][MOST];
    for (size_t z = 0; z < sizeof shapes / sizeof *shapes; z++) {
        const int64_t m = shapes[z][0], n = shapes[z][1], k = m < n ? m : n;
        make(m * n, w);
        factorize_by(NULL);
        CHECK_OK(factorize_svd(w, m, n, one[0], one[1], one[2]));
        factorize_by(&solver_cusolver);
        CHECK_OK(factorize_svd(w, m, n, other[0], other[1], other[2]));
        same(one[0], other[0], m * k);
        same(one[1], other[1], k);
        same(one[2], other[2], k * n);
        factorize_by(NULL);
        CHECK_OK(factorize_lq(w, m, n, one[0], one[1]));
        factorize_by(&solver_cusolver);
        CHECK_OK(factorize_lq(w, m, n, other[0], other[1]));
        same(one[0], other[0], k * n);
        same(one[1], other[1], k);
    }
    factorize_by(NULL);
}

static void what_does_not_converge_is_said(void **state)
{
    (void)state;
    static float w[MOST], out[3][MOST];
    make(24 * 24, w);
    factorize_by(&solver_cusolver);
    setenv("CUSIM_SOLVER_INFO", "3", 1);
    CHECK_FAILS(factorize_svd(w, 24, 24, out[0], out[1], out[2]), SODA_ERR_NUMERIC);
    check_message_has("the SVD of a 24 x 24 weight: cuSOLVER did not converge: its info is 3");
    unsetenv("CUSIM_SOLVER_INFO");
    factorize_by(NULL);
}

static void results_have_names_of_their_own(void **state)
{
    (void)state;
    char name[32];
    factorize_name(&factorize_kind_svd, name, sizeof name);
    assert_string_equal(name, "svd");
    factorize_by(&solver_cusolver);
    factorize_name(&factorize_kind_svd, name, sizeof name);
    assert_string_equal(name, "svd.cusolver");
    factorize_by(NULL);
}

int main(void)
{
    const soda_backend *backend;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bases_are_those_of_lapack),
        cmocka_unit_test(what_does_not_converge_is_said),
        cmocka_unit_test(results_have_names_of_their_own),
    };
    CHECK_OK(cuda_open(0, &backend));
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cuda_close(backend);
    return failed;
}
