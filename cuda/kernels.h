/* kernels.h: the CUDA backend's kernels, one per row of graph/ops.def. */
#pragma once

#include "backend/backend.h"

#define OP(name, ...) extern const soda_kernel cuda_##name;
#include "graph/ops.def"
#undef OP
