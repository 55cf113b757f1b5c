/* One seeded defect per kernel: test_bugs.c wants each caught by the check that is meant for it. */
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#define KERNEL(name, ...) static __global__ void __launch_bounds__(128) name(__VA_ARGS__)

KERNEL(correct, const float *x, float *y)
{
    __shared__ float s[128];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[127 - threadIdx.x];
}
KERNEL(missing_barrier, const float *x, float *y)
{
    __shared__ float s[128];
    s[threadIdx.x] = 0.0f;
    __syncthreads();
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[127 - threadIdx.x];
}
KERNEL(past_the_end, const float *x, float *y, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i <= n) y[i] = x[i];
}
KERNEL(past_a_shared_array, const float *x, float *y)
{
    __shared__ float a[64], b[64];
    if (threadIdx.x < 64) b[threadIdx.x] = 0.0f;
    __syncthreads();
    if (threadIdx.x <= 64) a[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = a[threadIdx.x & 63] + b[0];
}
KERNEL(unwritten_shared, const float *x, float *y)
{
    __shared__ float a[64];
    if (threadIdx.x < 60) a[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = a[threadIdx.x & 63];
}
KERNEL(barrier_in_a_branch, const float *x, float *y)
{
    __shared__ float s[128];
    if (threadIdx.x < 64) {
        s[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        y[threadIdx.x] = s[63 - threadIdx.x];
    }
}
KERNEL(return_before_barrier, const float *x, float *y, int n)
{
    __shared__ float s[128];
    if ((int)threadIdx.x >= n) return;
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[n - 1 - (int)threadIdx.x];
}
KERNEL(missing_syncwarp, const float *x, float *y)
{
    __shared__ float s[128];
    s[threadIdx.x] = 0.0f;
    __syncthreads();
    const unsigned warp = threadIdx.x & ~31u, lane = threadIdx.x & 31u;
    s[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = s[warp + ((lane + 1) & 31u)];
}
KERNEL(shuffle_from_outside, const float *x, float *y)
{
    float v = x[threadIdx.x];
    if ((threadIdx.x & 31u) < 16) v += __shfl_xor_sync(0x0000ffffu, v, 16);
    y[threadIdx.x] = v;
}
KERNEL(shuffle_in_a_branch, const float *x, float *y)
{
    float v = x[threadIdx.x];
    if (threadIdx.x & 1u) v += __shfl_xor_sync(0xffffffffu, v, 2);
    y[threadIdx.x] = v;
}
KERNEL(race_of_blocks, const float *x, float *y) { y[threadIdx.x] += x[blockIdx.x * blockDim.x + threadIdx.x]; }
KERNEL(sum_without_atomics, const float *x, float *y) { y[0] += x[threadIdx.x]; }
KERNEL(misaligned_vector, const float *x, float *y)
{
    const float4 v = *reinterpret_cast<const float4 *>(x + threadIdx.x);
    y[threadIdx.x] = v.x + v.w;
}
KERNEL(buffer_reused_too_early, const float *x, float *y)
{
    __shared__ float s[4];
    float v = x[threadIdx.x];
    for (int round = 0; round < 2; round++) {
        float t = v;
        for (int o = 16; o; o >>= 1) t += __shfl_xor_sync(0xffffffffu, t, o);
        if ((threadIdx.x & 31u) == 0) s[threadIdx.x >> 5] = t;
        __syncthreads();
        v += s[0] + s[1] + s[2] + s[3];
    }
    y[threadIdx.x] = v;
}
KERNEL(host_pointer, const float *const *pointers, float *y) { y[threadIdx.x] = pointers[0][threadIdx.x]; }
KERNEL(async_read_early, const float *x, float *y)
{
    __shared__ float s[512];
    __pipeline_memcpy_async(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
    __pipeline_commit();
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
    __pipeline_wait_prior(0);
}
KERNEL(async_missing_commit, const float *x, float *y)
{
    __shared__ float s[512];
    __pipeline_memcpy_async(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
    __pipeline_wait_prior(0);
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}
KERNEL(async_missing_barrier, const float *x, float *y)
{
    __shared__ float s[512];
    for (unsigned i = threadIdx.x; i < 512; i += 128) s[i] = 0.0f;
    __syncthreads();
    __pipeline_memcpy_async(&s[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    y[threadIdx.x] = s[511 - threadIdx.x];
}
KERNEL(bytes_of_one_word, unsigned char *bytes) { bytes[threadIdx.x] = (unsigned char)threadIdx.x; } /* correct */
KERNEL(past_dynamic_shared, const float *x, float *y)
{
    extern __shared__ float dynamic[];
    dynamic[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = dynamic[threadIdx.x ^ 1];
}
KERNEL(scaled, const float *x, float *y, float factor) { y[threadIdx.x] = factor * x[threadIdx.x]; } /* correct */

extern "C" cudaError_t launch_bug(int bug, float *x, float *y, void *pointers, cudaStream_t s)
{
    static int step;
    switch (bug) {
    case 0: correct<<<1, 128, 0, s>>>(x, y); break;
    case 1: missing_barrier<<<1, 128, 0, s>>>(x, y); break;
    case 2: past_the_end<<<5, 128, 0, s>>>(x, y, 512); break;
    case 3: past_a_shared_array<<<1, 128, 0, s>>>(x, y); break;
    case 4: unwritten_shared<<<1, 128, 0, s>>>(x, y); break;
    case 5: barrier_in_a_branch<<<1, 128, 0, s>>>(x, y); break;
    case 6: return_before_barrier<<<1, 128, 0, s>>>(x, y, 100); break;
    case 7: missing_syncwarp<<<1, 128, 0, s>>>(x, y); break;
    case 8: shuffle_from_outside<<<1, 128, 0, s>>>(x, y); break;
    case 9: shuffle_in_a_branch<<<1, 128, 0, s>>>(x, y); break;
    case 10: race_of_blocks<<<4, 128, 0, s>>>(x, y); break;
    case 11: sum_without_atomics<<<1, 128, 0, s>>>(x, y); break;
    case 12: misaligned_vector<<<1, 128, 0, s>>>(x, y); break;
    case 13: buffer_reused_too_early<<<1, 128, 0, s>>>(x, y); break;
    case 14: host_pointer<<<1, 128, 0, s>>>((const float *const *)pointers, y); break;
    case 15: async_read_early<<<1, 128, 0, s>>>(x, y); break;
    case 16: async_missing_commit<<<1, 128, 0, s>>>(x, y); break;
    case 17: async_missing_barrier<<<1, 128, 0, s>>>(x, y); break;
    case 18: bytes_of_one_word<<<1, 128, 0, s>>>((unsigned char *)y); break;
    case 19: past_dynamic_shared<<<1, 128, 127 * 4, s>>>(x, y); break;
    case 20: correct<<<1, 128, 60000, s>>>(x, y); break; /* shared memory above 48 KiB */
    case 21: correct<<<1, 2048, 0, s>>>(x, y); break;
    case 22: correct<<<1, 256, 0, s>>>(x, y); break; /* above the launch bound */
    case 23: scaled<<<1, 128, 0, s>>>(x, y, (float)++step); break; /* another number each time */
    default: return cudaErrorInvalidValue;
    }
    return cudaGetLastError();
}
