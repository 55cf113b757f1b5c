/* simd.h: which instructions this CPU has, and how a kernel picks its loops.
 *
 * The library is built for the plain CPU of its architecture. Inner loops live in NAME_loops.h,
 * which simd_variants.h compiles once for every instruction set and element type; each copy ends
 * in a struct of function pointers, and SIMD_SELECT makes the function that picks one at run time:
 *
 *     struct foo_loops { void (*foo)(...); };
 *     #define SIMD_BODY "backend/cpu/foo_loops.h"
 *     #include "backend/cpu/simd_variants.h"
 *     SIMD_SELECT(foo_loops)                      foo_loops_for(SODA_BF16)->foo(...)
 *
 * Only loops within one thread belong there: a compiler may drop the instruction set when it moves
 * an OpenMP parallel region into a function of its own. */
#pragma once

#include "core/tensor.h"

typedef enum { SIMD_BASE, SIMD_AVX2, SIMD_AVX512, SIMD_LEVELS } simd_level;

/* The best level of this CPU that simd_limit allows. */
simd_level simd_best(void);

/* Uses no level above `level` from now on: for tests, which compare the levels. */
void simd_limit(simd_level level);

/* "AVX-512", "AVX2" or "no SIMD extensions", of simd_best. */
const char *simd_text(void);

#if defined(__x86_64__)
#define SIMD_SELECT(name)                                                                          \
    static const struct name *name##_for(soda_dtype dtype)                                         \
    {                                                                                              \
        static const struct name *const variants[2][SIMD_LEVELS] = {                               \
            {&name##_f32_base, &name##_f32_avx2, &name##_f32_avx512},                              \
            {&name##_bf16_base, &name##_bf16_avx2, &name##_bf16_avx512},                           \
        };                                                                                         \
        return variants[dtype == SODA_BF16][simd_best()];                                          \
    }
#define SIMD_SELECT_F32(name)                                                                      \
    static const struct name *name##_now(void)                                                     \
    {                                                                                              \
        static const struct name *const variants[SIMD_LEVELS] = {                                  \
            &name##_f32_base, &name##_f32_avx2, &name##_f32_avx512};                               \
        return variants[simd_best()];                                                              \
    }
#else
#define SIMD_SELECT_F32(name)                                                                      \
    static const struct name *name##_now(void) { return &name##_f32_base; }
#define SIMD_SELECT(name)                                                                          \
    static const struct name *name##_for(soda_dtype dtype)                                         \
    {                                                                                              \
        return dtype == SODA_BF16 ? &name##_bf16_base : &name##_f32_base;                          \
    }
#endif
