/* simd_variants.h: compiles SIMD_BODY for every instruction set and element type. See simd.h.
 *
 * Not guarded: it is included once per set of loops. With SIMD_F32_ONLY defined there are copies
 * for float alone, for SIMD_SELECT_F32. The body sees
 *     T           float or uint16_t, the type of an element
 *     LOAD(v)     the value of element v as float
 *     STORE(f)    float f as an element
 *     LOOP(name)  the name of this copy
 *     SIMD_WIDTH  floats in one register
 * and may fuse a * b + c wherever the instruction set can. gcc needs to be told that it may, and
 * that comparisons of NaN need not raise flags: with those, a choice becomes a vector blend. */
#ifndef SIMD_BODY
#error "define SIMD_BODY, the loops to compile"
#endif

#include "backend/cpu/simd_math.h"

#define SIMD_JOIN(a, b, c) a##_##b##_##c
#define SIMD_NAME(a, b, c) SIMD_JOIN(a, b, c)
#define LOOP(name) SIMD_NAME(name, SIMD_TYPE, SIMD_ISA)

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,prefer-vector-width=512")
#pragma GCC optimize("fp-contract=fast,no-trapping-math")
#endif
#define SIMD_ISA avx512
#define SIMD_WIDTH 16
#include "backend/cpu/simd_types.h"
#undef SIMD_ISA
#undef SIMD_WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#pragma GCC optimize("fp-contract=fast,no-trapping-math")
#endif
#define SIMD_ISA avx2
#define SIMD_WIDTH 8
#include "backend/cpu/simd_types.h"
#undef SIMD_ISA
#undef SIMD_WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

#if !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=fast,no-trapping-math")
#endif
#define SIMD_ISA base
#define SIMD_WIDTH 4
#include "backend/cpu/simd_types.h"
#if !defined(__clang__)
#pragma GCC pop_options
#endif
#undef SIMD_ISA
#undef SIMD_WIDTH

#undef SIMD_JOIN
#undef SIMD_NAME
#undef LOOP
#undef SIMD_BODY
#undef SIMD_F32_ONLY
