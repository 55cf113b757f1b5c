/* copy.cu: concat, slice, upsample, one pack of 16 bytes of the result per thread, bit by bit, and
 * the gradient of upsample. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256;

static __device__ __forceinline__ unsigned thread_index()
{
    return blockIdx.x * THREADS + threadIdx.x;
}

template <typename F> static cudaError_t by_size(bool half, F f)
{
    return half ? f((unsigned short)0) : f(0u);
}

/* y [rows,C+D]: a pack may have elements of both. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    concat_kernel(const T *__restrict__ a, int C, const T *__restrict__ b, int D, T *__restrict__ y,
                  int64_t rows)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(thread_index(), C + D);
    if (at.row >= rows) return;
    const int from_a = max(0, min(at.n, C - at.column));
    T p[N];
    if (from_a == at.n)
        load_raw<N>(a + at.row * C + at.column, at.n, p);
    else if (from_a == 0)
        load_raw<N>(b + at.row * D + at.column - C, at.n, p);
    else
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int column = at.column + i;
            p[i] = i >= at.n ? 0 : column < C ? a[at.row * C + column] : b[at.row * D + column - C];
        }
    store_raw<N>(p, at.n, y + at.row * (C + D) + at.column);
}

cudaError_t launch_concat(bool half, const void *a, int C, const void *b, int D, void *y,
                          int64_t rows, cudaStream_t stream)
{
    return by_size(half, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(concat_kernel<T>, rows, C + D, THREADS, stream, a, C, b,
                                           D, y, rows);
    });
}

template <typename T> __global__ void __launch_bounds__(THREADS) slice_kernel(copy_slice u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(thread_index(), u.length);
    if (at.row >= u.rows) return;
    T p[N];
    load_raw<N>((const T *)u.x + at.row * u.C + u.start + at.column, at.n, p);
    store_raw<N>(p, at.n, (T *)u.y + at.row * u.length + at.column);
}

cudaError_t launch_slice(bool half, const copy_slice *u, cudaStream_t stream)
{
    return by_size(half, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(slice_kernel<T>, u->rows, u->length, THREADS, stream,
                                           *u);
    });
}

/* Nearest: pixel (i,j) of [N,H,W,C] is pixel (i h / H, j w / W) of [N,h,w,C]. */
template <typename T> __global__ void __launch_bounds__(THREADS) upsample_kernel(copy_upsample u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(thread_index(), u.C);
    if (at.row >= u.N * u.H * u.W) return;
    const unsigned line = (unsigned)at.row / u.W, j = (unsigned)at.row - line * u.W;
    const unsigned image = line / u.H, i = line - image * u.H;
    const int64_t from = (int64_t)(image * u.h + i * u.h / u.H) * u.w + j * u.w / u.W;
    T p[N];
    load_raw<N>((const T *)u.from + from * u.C + at.column, at.n, p);
    store_raw<N>(p, at.n, (T *)u.to + at.row * u.C + at.column);
}

cudaError_t launch_upsample(bool half, const copy_upsample *u, cudaStream_t stream)
{
    return by_size(half, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(upsample_kernel<T>, u->N * u->H * u->W, u->C, THREADS,
                                           stream, *u);
    });
}

/* The first index i of [0,large) with i small / large >= k. */
static __device__ __forceinline__ int first_copy(int k, int small, int large)
{
    return (k * large + small - 1) / small;
}

/* A pack of dx: the sum over the rows and columns of dy that were copied from its pixel, in order.
 */
template <typename T>
__global__ void __launch_bounds__(THREADS) upsample_grad_kernel(copy_upsample u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(thread_index(), u.C);
    if (at.row >= u.N * u.h * u.w) return;
    const int line = (int)((unsigned)at.row / u.w), j = (int)(at.row - (int64_t)line * u.w);
    const int image = line / u.h, i = line - image * u.h;
    const int i1 = first_copy(i + 1, u.h, u.H);
    const int j0 = first_copy(j, u.w, u.W), j1 = first_copy(j + 1, u.w, u.W);
    float sum[N] = {};
    for (int p = first_copy(i, u.h, u.H); p < i1; p++)
        for (int q = j0; q < j1; q++) {
            float x[N];
            const int64_t pixel = ((int64_t)image * u.H + p) * u.W + q;
            load_pack<N>((const T *)u.from + pixel * u.C + at.column, at.n, x);
#pragma unroll
            for (int k = 0; k < N; k++) sum[k] += x[k];
        }
    store_pack<N>(sum, at.n, (T *)u.to + at.row * u.C + at.column);
}

cudaError_t launch_upsample_grad(bool is_bf16, const copy_upsample *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(upsample_grad_kernel<T>, u->N * u->h * u->w, u->C,
                                           THREADS, stream, *u);
    });
}
