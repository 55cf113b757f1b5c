#include "backend/cpu/kron.h"

#include "backend/cpu/simd.h"

#define SIMD_BODY "backend/cpu/kron_loops.h"
#define SIMD_F32_ONLY
#include "backend/cpu/simd_variants.h"
SIMD_SELECT_F32(kron_loops)

const struct kron_loops *kron_loops_best(void) { return kron_loops_now(); }
