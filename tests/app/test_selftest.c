/* The numbers built into `soda selftest` are those of the reference backend in fp64. */
#include "support/check.h"

#include <stdio.h>

#include "app/selftest.h"

static void vectors_are_the_reference(void **state)
{
    (void)state;
    float prediction[SELFTEST_VALUES];
    CHECK_OK(selftest_predict(backend_ref(), SODA_F64, prediction));
    for (int i = 0; i < SELFTEST_VALUES; i += 37) printf("%.9g,\n", (double)prediction[i]);
    const double error = selftest_error(prediction);
    assert_true(error < 1e-7); /* the stored numbers are fp32: 2^-24 = 6e-8 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors_are_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
