/* Winograd's convolution on any CPU: 4 lanes by the compiler's vector extension. */
#include <string.h>

#include "backend/cpu/winograd_steps.h"

#define TARGET
#define STEPS winograd_portable
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

static inline vec vec_load_some(const float *p, int64_t n)
{
    vec x = vec_set(0);
    if (n >= LANES) return vec_load(p);
    for (int64_t i = 0; i < n; i++) x[i] = p[i];
    return x;
}

static inline void vec_store_some(float *p, vec x, int64_t n)
{
    if (n >= LANES) vec_store(p, x);
    for (int64_t i = 0; i < n && n < LANES; i++) p[i] = x[i];
}

static inline void vec_transpose(const float *src, int64_t src_row, float *dst, int64_t dst_row)
{
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++) dst[j * dst_row + i] = src[i * src_row + j];
}

#include "backend/cpu/winograd_simd.h"
