/* kernels.h: the CUDA backend's kernels, one per row of graph/ops.def. */
#pragma once

#include "backend/backend.h"

/* weak: a row whose file is not there yet is NULL */
#define OP(name, ...) extern const soda_kernel cuda_##name __attribute__((weak));
#include "graph/ops.def"
#undef OP
