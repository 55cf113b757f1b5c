/* vec_portable.h: 4 floats by the compiler's vector extension, under the names that the kernels in
 * NAME_simd.h use. */
#pragma once

#include <stdint.h>
#include <string.h>

#define TARGET
enum { LANES = 4 };
#if defined(__aarch64__) /* 32 registers, and a b + c is one instruction: gcc takes on for off */
#define MAX_VECTORS 4
#if !defined(__clang__)
#pragma GCC optimize("fp-contract=fast")
#endif
#else
#define MAX_VECTORS 2
#endif

typedef float vec __attribute__((vector_size(16)));

static inline vec vec_set(float x) { return (vec){x, x, x, x}; }
static inline vec vec_load(const float *p)
{
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline void vec_store(float *p, vec x) { memcpy(p, &x, sizeof x); }
static inline vec vec_add(vec a, vec b) { return a + b; }
static inline vec vec_sub(vec a, vec b) { return a - b; }
static inline vec vec_mul(vec a, vec b) { return a * b; }
static inline vec vec_fma(vec a, vec b, vec c) { return a * b + c; }
static inline vec vec_fnma(vec a, vec b, vec c) { return c - a * b; }

static inline void vec_transpose(const float *src, int64_t src_row, float *dst, int64_t dst_row)
{
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++) dst[j * dst_row + i] = src[i * src_row + j];
}
