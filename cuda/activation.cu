/* activation.cu: activations, geglu and their gradients, one pack of 16 bytes per thread, in fp32.
 *
 *     geglu: y = u gelu(g), du = dy gelu(g), dg = dy u gelu'(g), x = (u, g)     (Shazeer,
 *                                                                      arXiv:2002.05202) */
#include "cuda/activation.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(THREADS) activation_kernel(int kind, const T *x, T *y, int64_t n)
{
    constexpr int N = pack_width<T>;
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    if (at >= n) return;
    const int here = (int)min((int64_t)N, n - at);
    float p[N];
    load_pack<N>(x + at, here, p);
#pragma unroll
    for (int i = 0; i < N; i++) p[i] = activate(kind, p[i]);
    store_pack<N>(p, here, y + at);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    activation_grad_kernel(int kind, const T *__restrict__ dy, const T *__restrict__ x,
                           T *__restrict__ dx, int64_t n)
{
    constexpr int N = pack_width<T>;
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    if (at >= n) return;
    const int here = (int)min((int64_t)N, n - at);
    float d[N], p[N];
    load_pack<N>(dy + at, here, d);
    load_pack<N>(x + at, here, p);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float slope = activate_slope(kind, p[i]);
        d[i] = slope == 0 ? 0 : d[i] * slope; /* a closed relu stops NaN too */
    }
    store_pack<N>(d, here, dx + at);
}

cudaError_t launch_activation(bool is_bf16, int kind, const void *x, void *y, int64_t n,
                              cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(activation_kernel<T>, ceil_div(ceil_div(n, pack_width<T>), THREADS), THREADS,
                      0, stream, kind, x, y, n);
    });
}

cudaError_t launch_activation_grad(bool is_bf16, int kind, const void *dy, const void *x, void *dx,
                                   int64_t n, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(activation_grad_kernel<T>, ceil_div(ceil_div(n, pack_width<T>), THREADS),
                      THREADS, 0, stream, kind, dy, x, dx, n);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    geglu_kernel(const T *__restrict__ x, T *__restrict__ y, int64_t rows, int C)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(blockIdx.x * THREADS + threadIdx.x, C);
    if (at.row >= rows) return;
    const T *row = x + at.row * 2 * C + at.column;
    float u[N], g[N];
    load_pack<N>(row, at.n, u);
    load_pack<N>(row + C, at.n, g);
#pragma unroll
    for (int i = 0; i < N; i++) u[i] *= activate(GELU, g[i]);
    store_pack<N>(u, at.n, y + at.row * C + at.column);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    geglu_grad_kernel(const T *__restrict__ dy, const T *__restrict__ x, T *__restrict__ dx,
                      int64_t rows, int C)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(blockIdx.x * THREADS + threadIdx.x, C);
    if (at.row >= rows) return;
    const int64_t place = at.row * 2 * C + at.column;
    float d[N], u[N], g[N];
    load_pack<N>(dy + at.row * C + at.column, at.n, d);
    load_pack<N>(x + place, at.n, u);
    load_pack<N>(x + place + C, at.n, g);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float cdf = normal_cdf(g[i]);
        u[i] = d[i] * u[i] * (cdf + g[i] * normal_density(g[i]));
        d[i] *= g[i] * cdf;
    }
    store_pack<N>(d, at.n, dx + place);
    store_pack<N>(u, at.n, dx + place + C);
}

cudaError_t launch_geglu(bool is_bf16, const void *x, void *y, int64_t rows, int C,
                         cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(geglu_kernel<T>, rows, C, THREADS, stream, x, y, rows,
                                           C);
    });
}

cudaError_t launch_geglu_grad(bool is_bf16, const void *dy, const void *x, void *dx, int64_t rows,
                              int C, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(geglu_grad_kernel<T>, rows, C, THREADS, stream, dy, x,
                                           dx, rows, C);
    });
}
