/* columns.cu: sum_rows, and the gradients of spectral_scale and column_scale_add: sums over rows in
 * two kernels, partial sums per chunk of rows in fp32 and their sum in fp64; see columns.cuh. The
 * gradients need one kernel if there is one chunk. */
#include "cuda/columns.cuh"

template <typename T> __global__ void __launch_bounds__(TILE_THREADS) sum_rows_kernel(columns_sum u)
{
    constexpr int N = pack_width<T>;
    __shared__ tile_room<T> room;
    const tile_place at = find_tile<T>(u.rows, u.C);
    float sum[N] = {};
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES;
        float x[N];
        load_pack<N>((const T *)u.x + (at.image * u.rows + row) * u.C + at.column,
                     row < at.end ? at.n : 0, x);
#pragma unroll
        for (int k = 0; k < N; k++) sum[k] += x[k];
    }
    const float total = tile_sum<T>(sum, room);
    const int column = at.first + (int)threadIdx.x;
    if (threadIdx.x < tile_columns<T> && column < u.C)
        u.partial[(at.image * ceil_div(u.rows, COLUMNS_CHUNK) + at.chunk) * u.C + column] = total;
}

/* Block: 32 columns of one image. */
template <typename T>
__global__ void __launch_bounds__(JOIN_THREADS) sum_rows_join_kernel(columns_sum u)
{
    __shared__ join_room room;
    const int groups = (u.C + JOIN_COLUMNS - 1) / JOIN_COLUMNS;
    const int64_t image = blockIdx.x / groups, chunks = ceil_div(u.rows, COLUMNS_CHUNK);
    const int column = (int)(blockIdx.x % groups) * JOIN_COLUMNS + threadIdx.x % JOIN_COLUMNS;
    const double sum =
        join_chunks(u.partial + image * chunks * u.C + column, chunks, u.C, column < u.C, room);
    if (threadIdx.x < JOIN_COLUMNS && column < u.C)
        ((T *)u.sums)[image * u.C + column] = from_float<T>((float)sum);
}

cudaError_t launch_sum_rows(bool is_bf16, const columns_sum *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        const cudaError_t e = launch(sum_rows_kernel<T>, tile_count<T>(u->images, u->rows, u->C),
                                     TILE_THREADS, 0, stream, *u);
        if (e != cudaSuccess) return e;
        return launch(sum_rows_join_kernel<T>, u->images * ceil_div(u->C, JOIN_COLUMNS),
                      JOIN_THREADS, 0, stream, *u);
    });
}

/* ddelta of a column from its sum. A closed gate passes nothing, not even NaN. */
static __device__ __forceinline__ void store_delta(const columns_scale_grad &u, int column,
                                                   float sum)
{
    const bool closed = u.s && u.s[column] + u.delta[column] <= 0;
    u.ddelta[column] = closed ? 0 : sum;
}

/* dx and the partial sums of ddelta, or ddelta if there is one chunk. */
template <typename T>
__global__ void __launch_bounds__(TILE_THREADS) columns_scale_grad_kernel(columns_scale_grad u)
{
    constexpr int N = pack_width<T>;
    __shared__ tile_room<T> room;
    const tile_place at = find_tile<T>(u.rows, u.k);
    float factor[N], sum[N] = {};
    load_floats(u.delta + at.column, at.n, factor);
    if (u.s) {
        float s[N];
        load_floats(u.s + at.column, at.n, s);
#pragma unroll
        for (int k = 0; k < N; k++) factor[k] += s[k];
    }
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES;
        const int n = row < at.end ? at.n : 0;
        float d[N], x[N];
        load_pack<N>((const T *)u.dy + row * u.m + at.column, n, d);
        load_pack<N>((const T *)u.x + row * u.k + at.column, n, x);
#pragma unroll
        for (int k = 0; k < N; k++) {
            sum[k] += d[k] * x[k];
            d[k] = u.s && factor[k] <= 0 ? 0 : d[k] * factor[k];
        }
        store_pack<N>(d, n, (T *)u.dx + row * u.k + at.column);
    }
    const float total = tile_sum<T>(sum, room);
    const int column = at.first + (int)threadIdx.x;
    if (threadIdx.x >= tile_columns<T> || column >= u.k) return;
    if (u.rows > COLUMNS_CHUNK)
        u.partial[at.chunk * u.k + column] = total;
    else
        store_delta(u, column, total);
}

__global__ void __launch_bounds__(JOIN_THREADS) columns_scale_join_kernel(columns_scale_grad u)
{
    __shared__ join_room room;
    const int column = (int)blockIdx.x * JOIN_COLUMNS + threadIdx.x % JOIN_COLUMNS;
    const double sum =
        join_chunks(u.partial + column, ceil_div(u.rows, COLUMNS_CHUNK), u.k, column < u.k, room);
    if (threadIdx.x < JOIN_COLUMNS && column < u.k) store_delta(u, column, (float)sum);
}

cudaError_t launch_columns_scale_grad(bool is_bf16, const columns_scale_grad *u,
                                      cudaStream_t stream)
{
    const cudaError_t e = by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(columns_scale_grad_kernel<T>, tile_count<T>(1, u->rows, u->k), TILE_THREADS,
                      0, stream, *u);
    });
    if (e != cudaSuccess || u->rows <= COLUMNS_CHUNK) return e;
    return launch(columns_scale_join_kernel, ceil_div(u->k, JOIN_COLUMNS), JOIN_THREADS, 0, stream,
                  *u);
}
