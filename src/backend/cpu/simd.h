/* simd.h: how a kernel picks its loops by the level of core/isa.h.
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

#include "core/isa.h"
#include "core/tensor.h"

enum { SIMD_VARIANTS = ISA_AVX512 + 1 }; /* copies of each set of loops: none is above AVX-512 */

static inline int simd_variant(void)
{
    const isa_level level = isa_now();
    return level < ISA_AVX512 ? (int)level : (int)ISA_AVX512;
}

#if defined(__x86_64__)
#define SIMD_SELECT(name)                                                                          \
    static const struct name *name##_for(soda_dtype dtype)                                         \
    {                                                                                              \
        static const struct name *const variants[2][SIMD_VARIANTS] = {                             \
            {&name##_f32_base, &name##_f32_avx2, &name##_f32_avx512},                              \
            {&name##_bf16_base, &name##_bf16_avx2, &name##_bf16_avx512},                           \
        };                                                                                         \
        return variants[dtype == SODA_BF16][simd_variant()];                                       \
    }
#define SIMD_SELECT_F32(name)                                                                      \
    static const struct name *name##_now(void)                                                     \
    {                                                                                              \
        static const struct name *const variants[SIMD_VARIANTS] = {                                \
            &name##_f32_base, &name##_f32_avx2, &name##_f32_avx512};                               \
        return variants[simd_variant()];                                                           \
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
