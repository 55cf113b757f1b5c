/* elementwise.cu: add, scale, cast. A thread computes one pack of 16 bytes of the result (cast: of
 * 4 elements), in fp32, rounded once. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256;

static __device__ __forceinline__ int64_t thread_index()
{
    return (int64_t)blockIdx.x * THREADS + threadIdx.x;
}

template <int N> static int64_t blocks_of(int64_t n) { return ceil_div(ceil_div(n, N), THREADS); }

/* How many of N elements from `at` on are below n. */
template <int N> static __device__ __forceinline__ int left(int64_t n, int64_t at)
{
    return (int)min((int64_t)N, n - at);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) add_kernel(const T *a, const T *b, T *y, int64_t n)
{
    constexpr int N = pack_width<T>;
    const int64_t at = thread_index() * N;
    const int here = left<N>(n, at);
    if (here <= 0) return;
    float p[N], q[N];
    load_pack<N>(a + at, here, p);
    load_pack<N>(b + at, here, q);
#pragma unroll
    for (int i = 0; i < N; i++) p[i] += q[i];
    store_pack<N>(p, here, y + at);
}

cudaError_t launch_add(bool is_bf16, const void *a, const void *b, void *y, int64_t n,
                       cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(add_kernel<T>, blocks_of<pack_width<T>>(n), THREADS, 0, stream, a, b, y, n);
    });
}

/* b [C] of its image is added to every row. */
template <typename T> __global__ void __launch_bounds__(THREADS) add_rows_kernel(add_rows u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>((unsigned)thread_index(), u.C);
    if (at.row >= u.images * u.rows) return;
    const unsigned image = (unsigned)at.row / (unsigned)u.rows;
    const int64_t place = at.row * u.C + at.column;
    float p[N], q[N];
    load_pack<N>((const T *)u.a + place, at.n, p);
    load_pack<N>((const T *)u.b + (int64_t)image * u.C + at.column, at.n, q);
#pragma unroll
    for (int i = 0; i < N; i++) p[i] += q[i];
    store_pack<N>(p, at.n, (T *)u.y + place);
}

cudaError_t launch_add_rows(bool is_bf16, const add_rows *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(add_rows_kernel<T>, u->images * u->rows, u->C, THREADS,
                                           stream, *u);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS) scale_kernel(const T *x, float factor, T *y, int64_t n)
{
    constexpr int N = pack_width<T>;
    const int64_t at = thread_index() * N;
    const int here = left<N>(n, at);
    if (here <= 0) return;
    float p[N];
    load_pack<N>(x + at, here, p);
#pragma unroll
    for (int i = 0; i < N; i++) p[i] *= factor;
    store_pack<N>(p, here, y + at);
}

cudaError_t launch_scale(bool is_bf16, const void *x, float factor, void *y, int64_t n,
                         cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(scale_kernel<T>, blocks_of<pack_width<T>>(n), THREADS, 0, stream, x, factor,
                      y, n);
    });
}

/* Four elements: 16 bytes on the side of fp32. */
template <typename From, typename To>
__global__ void __launch_bounds__(THREADS)
    cast_kernel(const From *__restrict__ x, To *__restrict__ y, int64_t n)
{
    constexpr int N = 4;
    const int64_t at = thread_index() * N;
    const int here = left<N>(n, at);
    if (here <= 0) return;
    float p[N];
    load_pack<N>(x + at, here, p);
    store_pack<N>(p, here, y + at);
}

cudaError_t launch_cast(bool narrow, const void *x, void *y, int64_t n, cudaStream_t stream)
{
    const int64_t blocks = blocks_of<4>(n);
    return narrow ? launch(cast_kernel<float, bf16>, blocks, THREADS, 0, stream, x, y, n)
                  : launch(cast_kernel<bf16, float>, blocks, THREADS, 0, stream, x, y, n);
}
