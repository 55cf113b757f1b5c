/* linear.h: the matrix product behind linear and 1x1 convolution. */
#pragma once

#include "backend/backend.h"

/* Prepares y = x w' + b for rows [M,I], or y = x w + b if transposed; only the first two axes of
 * w are looked at, and M = shape_rows(x). Run with dense_run, release with dense_release. */
soda_status linear_prepare(soda_call *call, soda_weights *weights, bool transposed);
