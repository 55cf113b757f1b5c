/* check.h: cmocka with the headers it needs, and what every test uses. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/status.h"

/* Fails the test with the recorded message and trace if `call` does not return SODA_OK. */
#define CHECK_OK(call) check_status((call), SODA_OK, __FILE__, __LINE__)
#define CHECK_FAILS(call, status) check_status((call), (status), __FILE__, __LINE__)
void check_status(soda_status got, soda_status want, const char *file, int line);

/* Fails unless the recorded message contains `part`. */
void check_message_has(const char *part);

/* ||a - b||_2 / ||b||_2 in fp64 */
double check_relative_l2(const float *a, const float *b, int64_t n);

/* Fails if any |got - want| exceeds `bound`; prints the first place. */
void check_max_diff(const float *got, const float *want, int64_t n, double bound);

/* Reproducible standard normals (Philox), scaled. */
void check_fill_normal(float *x, int64_t n, uint32_t seed, float scale);
