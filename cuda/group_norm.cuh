/* group_norm.cuh: what both ways of group_norm share. x, y [N,rows,C], a group is C / groups
 * channels of one image.
 *
 *     x^ = (x - mean) rstd, z = gamma x^ + beta, y = z or silu(z)        Wu & He, arXiv:1803.08494
 *     dx = rstd (e - mean(e) - x^ mean(e x^)), e = gamma dy silu'(z)
 *
 * Small groups: one block per group keeps it in shared memory (group_norm_small.cu). Others: three
 * kernels (group_norm.cu). */
#pragma once

#include "cuda/activation.cuh"
#include "cuda/launch.h"

static constexpr int GROUP_THREADS = 256, GROUP_WARPS = GROUP_THREADS / WARP;

/* Whether groups are small; then these compute y or dx. */
bool group_norm_is_small(bool is_bf16, bool grad, const group_norm_tensors *u);
cudaError_t group_norm_small(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream);
cudaError_t group_norm_small_grad(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream);

/* The group of this block. */
struct group_place {
    int64_t image, base; /* base: of its first element in x */
    int group, channels; /* channels of one group */
};

static __device__ __forceinline__ group_place find_group(const group_norm_tensors &u)
{
    const unsigned image = blockIdx.x / (unsigned)u.groups;
    const int group = (int)(blockIdx.x - image * (unsigned)u.groups), channels = u.C / u.groups;
    return {image, (int64_t)image * u.rows * u.C + (int64_t)group * channels, group, channels};
}

/* e of one element, from dy, x^, gamma and beta. */
static __device__ __forceinline__ float pull_back(bool silu, float dy, float xhat, float gamma,
                                                  float beta)
{
    const float e = gamma * dy;
    return silu ? e * gated_slope(gamma * xhat + beta, 1.0f) : e;
}
