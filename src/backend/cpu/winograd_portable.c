/* Winograd's convolution on any CPU: 4 lanes by the compiler's vector extension. */
#include "backend/cpu/vec_portable.h"
#include "backend/cpu/winograd_steps.h"

#define STEPS winograd_portable

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

#include "backend/cpu/winograd_simd.h"
