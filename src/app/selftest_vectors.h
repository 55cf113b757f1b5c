/* selftest_vectors.h: every SELFTEST_STRIDE-th element of the selftest's prediction, computed by
 * the reference backend in fp64 (tests/app/test_selftest.c prints and checks them). */
#pragma once

enum { SELFTEST_STRIDE = 37, SELFTEST_COUNT = 16 };

static const double selftest_prediction[SELFTEST_COUNT] = {
    -0.103764683, -0.294951946, 0.242836222,   0.0753078982, -0.0413421132, -0.288177431,
    0.246535644,  0.0434124693, 0.00379842822, -0.339302659, 0.270685136,   0.0229625162,
    0.0288079176, -0.14633663,  0.232884035,   -0.0637804344};
