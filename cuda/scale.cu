/* scale: y = factor x, in fp32, one thread per element. */
#include <cuda_bf16.h>

#include "cuda/launch.h"

static constexpr int THREADS = 256;

static __device__ float read(const float *x) { return *x; }
static __device__ float read(const __nv_bfloat16 *x) { return __bfloat162float(*x); }
static __device__ void write(float *y, float value) { *y = value; }
static __device__ void write(__nv_bfloat16 *y, float value) { *y = __float2bfloat16(value); }

template <typename T>
static __global__ void __launch_bounds__(THREADS) scale(const T *x, float factor, T *y, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) write(y + i, factor * read(x + i));
}

template <typename T>
static cudaError_t launch(const void *x, float factor, void *y, int64_t n, cudaStream_t stream)
{
    const unsigned blocks = (unsigned)((n + THREADS - 1) / THREADS);
    scale<T><<<blocks, THREADS, 0, stream>>>((const T *)x, factor, (T *)y, n);
    return cudaGetLastError();
}

cudaError_t launch_scale(bool bf16, const void *x, float factor, void *y, int64_t n,
                         cudaStream_t stream)
{
    return bf16 ? launch<__nv_bfloat16>(x, factor, y, n, stream)
                : launch<float>(x, factor, y, n, stream);
}
