/* selftest.h: the small network behind `soda selftest`. */
#pragma once

#include "backend/backend.h"

enum {
    SELFTEST_SIDE = 12,
    SELFTEST_TOKENS = 7,
    SELFTEST_VALUES = SELFTEST_SIDE * SELFTEST_SIDE * 4
};

/* What a small U-Net with weights and inputs from Philox predicts on `backend`; [SELFTEST_VALUES].
 */
soda_status selftest_predict(const soda_backend *backend, soda_dtype dtype, float *prediction);

/* The types it is checked in, and the largest error that is allowed. fp32: the bound of one U-Net
 * call; bf16: 2^-8 a rounding, some hundred of them in a row. */
typedef struct {
    soda_dtype dtype;
    const char *what; /* "U-Net, fp32" */
    double bound;
} selftest_type;
enum { SELFTEST_TYPES = 2 };
extern const selftest_type selftest_types[SELFTEST_TYPES];

/* Relative L2 error of a prediction against the numbers that are part of the program. */
double selftest_error(const float *prediction);
