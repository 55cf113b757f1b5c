/* layer_norm.cu: a warp per row.                                     Ba et al., arXiv:1607.06450
 *
 *     x^ = (x - mean) rstd, y = gamma x^ + beta, rstd = 1 / sqrt(var + eps)
 *     dx = rstd (e - mean(e) - x^ mean(e x^)), e = gamma dy
 *
 * Lane l takes packs of 4 columns l, l + 32, ... in order; then the lanes are added. The first
 * HELD packs of a lane stay in registers, 1280 columns of a row; what is behind them is read again
 * in each pass. Packs of 4, not of 16 bytes, so that a warp reads gamma and beta without gaps. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256, ROWS = THREADS / WARP, N = 4, HELD = 10;

/* f(column, n, pack) for each pack of this lane; pack < 0 where it is not held. */
template <typename F> static __device__ __forceinline__ void each_pack(int C, F f)
{
    const int first = (int)(threadIdx.x % WARP) * N;
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        const int column = first + i * WARP * N;
        if (column < C) f(column, min(N, C - column), i);
    }
    for (int column = first + HELD * WARP * N; column < C; column += WARP * N)
        f(column, min(N, C - column), -1);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 3) layer_norm_kernel(layer_norm_tensors u)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;
    if (row >= u.rows) return; /* the whole warp */
    const T *x = (const T *)u.x + row * u.C;
    T *y = (T *)u.y + row * u.C;
    float held[HELD][N], sum = 0, squares = 0;
    each_pack(u.C, [&](int column, int n, int i) {
        float p[N];
        load_pack<N>(x + column, n, p);
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (i >= 0) held[i][k] = p[k];
            sum += p[k];
        }
    });
    const float mean = warp_sum(sum) / (float)u.C;
    each_pack(u.C, [&](int column, int n, int i) {
        float p[N];
        if (i < 0) load_pack<N>(x + column, n, p);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float d = (i < 0 ? p[k] : held[i][k]) - mean;
            squares += k < n ? d * d : 0;
        }
    });
    const float rstd = 1.0f / sqrtf(warp_sum(squares) / (float)u.C + u.eps);
    each_pack(u.C, [&](int column, int n, int i) {
        float p[N], gamma[N], beta[N];
        if (i < 0) load_pack<N>(x + column, n, p);
        load_floats(u.gamma + column, n, gamma);
        load_floats(u.beta + column, n, beta);
#pragma unroll
        for (int k = 0; k < N; k++)
            p[k] = gamma[k] * (((i < 0 ? p[k] : held[i][k]) - mean) * rstd) + beta[k];
        store_pack<N>(p, n, y + column);
    });
    if (threadIdx.x % WARP == 0) {
        u.stats[2 * row] = mean;
        u.stats[2 * row + 1] = rstd;
    }
}

cudaError_t launch_layer_norm(bool is_bf16, const layer_norm_tensors *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(layer_norm_kernel<T>, ceil_div(u->rows, ROWS), THREADS, 0, stream, *u);
    });
}

template <typename T>
__global__ void __launch_bounds__(THREADS) layer_norm_grad_kernel(layer_norm_tensors u)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;
    if (row >= u.rows) return; /* the whole warp */
    const int64_t at = row * u.C;
    const float mean = u.stats[2 * row], rstd = u.stats[2 * row + 1];
    float e[HELD][N], xhat[HELD][N], sum_e = 0, sum_ex = 0;
    const auto load = [&](int column, int n, float(&e)[N], float(&xhat)[N]) {
        float gamma[N];
        load_pack<N>((const T *)u.dy + at + column, n, e);
        load_pack<N>((const T *)u.x + at + column, n, xhat);
        load_floats(u.gamma + column, n, gamma);
#pragma unroll
        for (int k = 0; k < N; k++) {
            e[k] *= gamma[k];
            xhat[k] = (xhat[k] - mean) * rstd;
        }
    };
    each_pack(u.C, [&](int column, int n, int i) {
        float p[N], q[N];
        load(column, n, p, q);
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (i >= 0) e[i][k] = p[k], xhat[i][k] = q[k];
            sum_e += p[k];
            sum_ex += k < n ? p[k] * q[k] : 0;
        }
    });
    const float mean_e = warp_sum(sum_e) / (float)u.C, mean_ex = warp_sum(sum_ex) / (float)u.C;
    each_pack(u.C, [&](int column, int n, int i) {
        float p[N], q[N];
        if (i < 0) load(column, n, p, q);
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (i >= 0) p[k] = e[i][k], q[k] = xhat[i][k];
            p[k] = rstd * (p[k] - mean_e - q[k] * mean_ex);
        }
        store_pack<N>(p, n, (T *)u.y + at + column);
    });
}

cudaError_t launch_layer_norm_grad(bool is_bf16, const layer_norm_tensors *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(layer_norm_grad_kernel<T>, ceil_div(u->rows, ROWS), THREADS, 0, stream, *u);
    });
}
