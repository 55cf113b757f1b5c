/* conv2d.cuh: conv2d and its gradient in x as products with a gathered matrix: y [M,O] = G [M,K] w'
 * [O,K] + b, M = N P Q pixels, K = kh kw I, column k = (r kw + s) I + i. Row m = (n, p, q) of G has
 * at k x[n, u / spread, v / spread, i] with u = p stride + r - top, v = q stride + s - left, and 0
 * where u or v is no multiple of spread or lies outside of x. The gradient is the same with stride
 * 1, the forward's stride as spread, and the flipped kernel. */
#pragma once

#include "cuda/gpu.cuh"
#include "cuda/launch.h"

/* The first pixel of x under output pixel m, before division by spread. */
struct corner {
    int64_t image; /* its first pixel */
    int u, v;
    bool present;
};

static __device__ __forceinline__ corner corner_of(const conv2d_sizes &z, int64_t m)
{
    const int64_t pq = (int64_t)z.P * z.Q, n = m / pq;
    const int at = (int)(m - n * pq), p = at / z.Q, q = at - p * z.Q;
    return {n * z.H * z.W, p * z.stride - z.top, q * z.stride - z.left, m < z.N * pq};
}

/* The pixel under tap (r,s), or -1. */
static __device__ __forceinline__ int64_t pixel_under(const conv2d_sizes &z, const corner &c, int r,
                                                      int s)
{
    const int u = c.u + r, v = c.v + s, h = u / z.spread, w = v / z.spread;
    if (!c.present || u < 0 || v < 0 || h >= z.H || w >= z.W) return -1;
    if (h * z.spread != u || w * z.spread != v) return -1;
    return c.image + (int64_t)h * z.W + w;
}

/* A column k of G, for a thread that walks through K. */
struct column {
    int r, s, i;
    __device__ __forceinline__ void settle(const conv2d_sizes &z)
    {
        while (i >= z.I) {
            i -= z.I;
            if (++s == z.kw) {
                s = 0;
                r++;
            }
        }
    }
};
