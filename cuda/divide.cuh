/* divide.cuh: quotients of small numbers. */
#pragma once

#include "cuda/gpu.cuh"

/* x / n for x < 2^16 and n <= 2^16, without a division. */
struct divider {
    unsigned n, magic; /* 2^32 / n, rounded up */
};

static divider divide_by(int64_t n)
{
    return {(unsigned)n, (unsigned)((1ull << 32) / (unsigned)n + 1)};
}

static __device__ __forceinline__ unsigned divide(unsigned x, const divider &d)
{
    return d.n == 1 ? x : __umulhi(x, d.magic);
}
