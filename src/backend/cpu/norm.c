#include "backend/cpu/norm.h"

#include <math.h>

#include "backend/cpu/simd.h"

#define SIMD_BODY "backend/cpu/norm_loops.h"
#include "backend/cpu/simd_variants.h"
SIMD_SELECT(norm_loops)

const struct norm_loops *norm_loops_of(soda_dtype dtype) { return norm_loops_for(dtype); }
