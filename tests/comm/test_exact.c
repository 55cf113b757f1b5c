/* Exact sums: the same bits in any order and grouping, and correctly rounded. */
#include "support/check.h"

#include <math.h>
#include <string.h>

#include "comm/exact.h"
#include "core/philox.h"

enum { COUNT = 997 };

/* Numbers whose exponents differ by up to 2^60, so that fp32 sums depend on the order. */
static void fill_wild(float *x, int64_t n)
{
    uint32_t bits[COUNT];
    check_fill_normal(x, n, 5, 1);
    philox_bits((philox_key){{6, 6}}, (philox_counter){{0}}, bits, n);
    for (int64_t i = 0; i < n; i++) x[i] = ldexpf(x[i], (int)(bits[i] % 60) - 30);
}

static float sum_strided(const float *x, int64_t n, int64_t stride)
{
    int64_t limbs[EXACT_LIMBS] = {0}, where;
    float sum;
    for (int64_t i = 0, at = 0; i < n; i++, at = (at + stride) % n)
        CHECK_OK(exact_add(limbs, &x[at], 1, &where));
    exact_round(limbs, &sum, 1);
    return sum;
}

static void order_does_not_matter(void **state)
{
    (void)state;
    float x[COUNT];
    fill_wild(x, COUNT);
    const float want = sum_strided(x, COUNT, 1);
    for (int64_t stride = 2; stride < 40; stride++) { /* 997 is prime: every stride visits all */
        const float got = sum_strided(x, COUNT, stride);
        assert_memory_equal(&got, &want, sizeof got);
    }
    /* long double holds these sums to 2^-64 of the largest term: enough for one fp32 rounding */
    long double sum = 0;
    for (int i = 0; i < COUNT; i++) sum += (long double)x[i];
    assert_true(want == (float)sum);
}

static void groups_do_not_matter(void **state)
{
    (void)state;
    float x[COUNT], want = 0, got = 0;
    fill_wild(x, COUNT);
    want = sum_strided(x, COUNT, 1);
    for (int ranks = 2; ranks <= 5; ranks++) {
        int64_t total[EXACT_LIMBS] = {0}, where;
        for (int r = 0; r < ranks; r++) {
            int64_t part[EXACT_LIMBS] = {0};
            for (int i = r; i < COUNT; i += ranks) CHECK_OK(exact_add(part, &x[i], 1, &where));
            for (int j = 0; j < EXACT_LIMBS; j++) total[j] += part[j];
        }
        exact_round(total, &got, 1);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

static void single_numbers_survive(void **state)
{
    (void)state;
    const float x[] = {0,        1,      -1,       0x1p-110f, -0x1p-110f,   0x1.fffffep48f,
                       -0x1p48f, 2e-26f, 3.14159f, -2.5e10f,  0x1.000002p0f};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        int64_t limbs[EXACT_LIMBS] = {0}, where;
        float got;
        CHECK_OK(exact_add(limbs, &x[i], 1, &where));
        exact_round(limbs, &got, 1);
        assert_true(got == x[i]);
    }
}

static void ties_go_to_even(void **state)
{
    (void)state;
    const float cases[][3] = {{1, 0x1p-24f, 1},                         /* half way, down to even */
                              {0x1.000002p0f, 0x1p-24f, 0x1.000004p0f}, /* half way, up to even */
                              {-1, -0x1p-24f, -1},
                              {0x1p40f, -0x1p-60f, 0x1p40f},
                              {1, -1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float got = sum_strided(cases[i], 2, 1);
        assert_true(got == cases[i][2]);
    }
}

static void what_is_not_finite_is_refused(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 0x1p49f};
    for (int i = 0; i < 4; i++) {
        const float x[3] = {1, 2, bad[i]};
        int64_t limbs[3 * EXACT_LIMBS] = {0}, where = -1;
        CHECK_FAILS(exact_add(limbs, x, 3, &where), SODA_ERR_NUMERIC);
        assert_int_equal(where, 2);
        for (int j = 0; j < 3 * EXACT_LIMBS; j++) assert_int_equal(limbs[j], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_matter),         cmocka_unit_test(groups_do_not_matter),
        cmocka_unit_test(single_numbers_survive),        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(what_is_not_finite_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
