#include "backend/cpu/simd.h"

static simd_level limit = SIMD_AVX512;

void simd_limit(simd_level level) { limit = level; }

simd_level simd_best(void)
{
#if defined(__x86_64__)
    if (limit >= SIMD_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return SIMD_AVX512;
    if (limit >= SIMD_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return SIMD_AVX2;
#endif
    return SIMD_BASE;
}

const char *simd_text(void)
{
    static const char *const text[SIMD_LEVELS] = {"no SIMD extensions", "AVX2", "AVX-512"};
    return text[simd_best()];
}
