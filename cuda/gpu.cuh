/* gpu.cuh: what the kernels share: fp32 and bf16 elements in packs, sums in a fixed order,
 * launches.
 *
 * A thread owns a pack of N neighbouring elements. It reads and writes them with one access of N
 * elements where the address allows it and all N exist, else one by one: the same values, so the
 * same bits, for any number of columns and any address. */
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

using bf16 = __nv_bfloat16;

enum { WARP = 32 };

/* Elements of a pack of 16 bytes. */
template <typename T> constexpr int pack_width = 16 / (int)sizeof(T);

static __device__ __forceinline__ float to_float(float x) { return x; }
static __device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

/* `x` rounded to T, to nearest even. */
template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x)
{
    return __float2bfloat16(x);
}

template <int BYTES> struct pack_word;
template <> struct pack_word<16> {
    using type = uint4;
};
template <> struct pack_word<8> {
    using type = uint2;
};
template <> struct pack_word<4> {
    using type = unsigned;
};
template <> struct pack_word<2> {
    using type = unsigned short;
};

/* x[0..n) = p[0..n), n <= N, bit by bit; the other elements become 0. */
template <int N, typename T> __device__ __forceinline__ void load_raw(const T *p, int n, T (&x)[N])
{
    using word = typename pack_word<N *(int)sizeof(T)>::type;
    if (n >= N && (uintptr_t)p % sizeof(word) == 0) {
        const word all = *(const word *)p;
        memcpy((void *)x, &all, sizeof all);
        return;
    }
    memset((void *)x, 0, sizeof x);
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < n) x[i] = p[i];
}

/* p[0..n) = x[0..n) */
template <int N, typename T> __device__ __forceinline__ void store_raw(const T (&x)[N], int n, T *p)
{
    using word = typename pack_word<N *(int)sizeof(T)>::type;
    if (n >= N && (uintptr_t)p % sizeof(word) == 0) {
        word all;
        memcpy(&all, (const void *)x, sizeof all);
        *(word *)p = all;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < n) p[i] = x[i];
}

/* The same with elements as fp32. */
template <int N, typename T>
__device__ __forceinline__ void load_pack(const T *p, int n, float (&x)[N])
{
    T raw[N];
    load_raw<N>(p, n, raw);
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = to_float(raw[i]);
}

template <int N, typename T>
__device__ __forceinline__ void store_pack(const float (&x)[N], int n, T *p)
{
    T raw[N];
#pragma unroll
    for (int i = 0; i < N; i++) raw[i] = from_float<T>(x[i]);
    store_raw<N>(raw, n, p);
}

/* N elements of fp32 beside a pack of any type: at most 16 bytes at a time. */
template <int N> __device__ __forceinline__ void load_floats(const float *p, int n, float (&x)[N])
{
    constexpr int PART = N < 4 ? N : 4;
#pragma unroll
    for (int i = 0; i < N; i += PART) {
        float part[PART];
        load_raw<PART>(p + i, n - i, part);
#pragma unroll
        for (int k = 0; k < PART; k++) x[i + k] = part[k];
    }
}

/* Which pack of a matrix with `columns` columns is item `index`, counted row by row: its row, its
 * first column, and how many columns it has, at most N. */
struct pack_place {
    int64_t row;
    int column, n;
};

template <int N> __device__ __forceinline__ pack_place find_pack(unsigned index, int columns)
{
    const unsigned packs = (unsigned)(columns + N - 1) / N, row = index / packs;
    const int column = (int)(index - row * packs) * N;
    return {(int64_t)row, column, min(N, columns - column)};
}

static __host__ __device__ __forceinline__ int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The sum over the lanes of a warp, the same for all of them: neighbours first. */
template <typename T> __device__ __forceinline__ T warp_sum(T x)
{
#pragma unroll
    for (int distance = 1; distance < WARP; distance *= 2)
        x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

/* The sum over a block of WARPS warps, the same for all threads: lanes, then warps in order. `room`
 * holds WARPS values; nobody may be reading it still. */
template <int WARPS, typename T> __device__ __forceinline__ T block_sum(T x, T *room)
{
    x = warp_sum(x);
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = room[0];
#pragma unroll
    for (int i = 1; i < WARPS; i++) sum += room[i];
    return sum;
}

/* Starts `blocks` blocks: none, if there is nothing to do. Indices of threads must fit 32 bits. */
template <typename... P, typename... A>
cudaError_t launch(void (*kernel)(P...), int64_t blocks, int threads, size_t shared,
                   cudaStream_t stream, A... arguments)
{
    if (blocks == 0) return cudaSuccess;
    if (blocks * threads > UINT_MAX) return cudaErrorInvalidConfiguration;
    kernel<<<(unsigned)blocks, threads, shared, stream>>>(static_cast<P>(arguments)...);
    return cudaGetLastError();
}

/* Starts `kernel`, whose threads take a pack of N of a matrix each: find_pack. */
template <int N, typename... P, typename... A>
cudaError_t launch_packs(void (*kernel)(P...), int64_t rows, int64_t columns, int threads,
                         cudaStream_t stream, A... arguments)
{
    return launch(kernel, ceil_div(rows * ceil_div(columns, N), threads), threads, 0, stream,
                  arguments...);
}

/* f(bf16()) or f(float()): chooses the kernel for a type. */
template <typename F> cudaError_t by_type(bool is_bf16, F f)
{
    return is_bf16 ? f(bf16()) : f(float());
}
