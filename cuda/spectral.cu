/* spectral.cu: what SODA does to a spectrum (Zhang et al., arXiv:2405.21050): spectral_scale,
 * column_scale_add, row_scale_add and its gradient. The other two gradients are in columns.cu. */
#include "cuda/columns.cuh"

/* y = x relu(s + delta); a closed gate passes nothing, not even NaN. */
template <typename T>
__global__ void __launch_bounds__(TILE_THREADS) spectral_scale_kernel(spectral_columns u)
{
    constexpr int N = pack_width<T>;
    const tile_place at = find_tile<T>(u.rows, u.k);
    float factor[N], delta[N];
    load_floats(u.s + at.column, at.n, factor);
    load_floats(u.delta + at.column, at.n, delta);
#pragma unroll
    for (int k = 0; k < N; k++) factor[k] += delta[k];
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES, place = row * u.k + at.column;
        const int n = row < at.end ? at.n : 0;
        float x[N];
        load_pack<N>((const T *)u.x + place, n, x);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] = factor[k] <= 0 ? 0 : x[k] * factor[k];
        store_pack<N>(x, n, (T *)u.y + place);
    }
}

cudaError_t launch_spectral_scale(bool is_bf16, const spectral_columns *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(spectral_scale_kernel<T>, tile_count<T>(1, u->rows, u->k), TILE_THREADS, 0,
                      stream, *u);
    });
}

/* y = x + h diag(delta) on the columns that h has. */
template <typename T>
__global__ void __launch_bounds__(TILE_THREADS, 4) column_scale_add_kernel(spectral_shift u)
{
    constexpr int N = pack_width<T>;
    const tile_place at = find_tile<T>(u.rows, u.m);
    float delta[N];
    load_floats(u.delta + at.column, u.k - at.column, delta);
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES;
        const int n = row < at.end ? at.n : 0;
        float x[N], h[N];
        load_pack<N>((const T *)u.x + row * u.m + at.column, n, x);
        load_pack<N>((const T *)u.h + row * u.k + at.column, min(n, u.k - at.column), h);
#pragma unroll
        for (int k = 0; k < N; k++)
            if (at.column + k < u.k) x[k] += h[k] * delta[k];
        store_pack<N>(x, n, (T *)u.y + row * u.m + at.column);
    }
}

cudaError_t launch_column_scale_add(bool is_bf16, const spectral_shift *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(column_scale_add_kernel<T>, tile_count<T>(1, u->rows, u->m), TILE_THREADS, 0,
                      stream, *u);
    });
}

static constexpr int ROW_THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(ROW_THREADS) row_scale_add_kernel(spectral_rows u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(blockIdx.x * ROW_THREADS + threadIdx.x, u.n);
    if (at.row >= u.m) return;
    const int64_t place = at.row * u.n + at.column;
    float w[N], q[N];
    load_pack<N>((const T *)u.w + place, at.n, w);
    if (at.row < u.k) {
        const float delta = u.delta[at.row];
        load_pack<N>((const T *)u.q + place, at.n, q);
#pragma unroll
        for (int i = 0; i < N; i++) w[i] += delta * q[i];
    }
    store_pack<N>(w, at.n, (T *)u.y + place);
}

cudaError_t launch_row_scale_add(bool is_bf16, const spectral_rows *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(row_scale_add_kernel<T>, u->m, u->n, ROW_THREADS, stream,
                                           *u);
    });
}

/* A warp per row: lane l takes packs l, l + 32, ... in order, then the lanes are added. */
template <typename T>
__global__ void __launch_bounds__(ROW_THREADS) row_scale_add_grad_kernel(spectral_rows u)
{
    constexpr int N = pack_width<T>;
    const int64_t row = (int64_t)blockIdx.x * (ROW_THREADS / WARP) + threadIdx.x / WARP;
    if (row >= u.k) return; /* the whole warp */
    float sum = 0;
    for (int column = (int)(threadIdx.x % WARP) * N; column < u.n; column += WARP * N) {
        float d[N], q[N];
        load_pack<N>((const T *)u.w + row * u.n + column, u.n - column, d);
        load_pack<N>((const T *)u.q + row * u.n + column, u.n - column, q);
#pragma unroll
        for (int i = 0; i < N; i++) sum += d[i] * q[i];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) ((float *)u.y)[row] = sum;
}

cudaError_t launch_row_scale_add_grad(bool is_bf16, const spectral_rows *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(row_scale_add_grad_kernel<T>, ceil_div(u->k, ROW_THREADS / WARP), ROW_THREADS,
                      0, stream, *u);
    });
}
