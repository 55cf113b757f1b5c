/* group_norm.cu: group_norm in three kernels; formulas in group_norm.cuh. The first takes tiles
 * (columns.cuh) and makes two partial sums per chunk of rows and channel: forward the mean and the
 * sum of squares around it, backward the sums of e and e x^. The second joins those of a group in
 * fp64 (Chan, Golub & LeVeque 1979), in a fixed order. The third computes the result, by tiles
 * again. */
#include "cuda/columns.cuh"
#include "cuda/group_norm.cuh"

/* partial [N,chunks,C] pairs, then (gradient) the two means of each group. */
static int64_t partial_pairs(const group_norm_tensors *u)
{
    return u->N * ceil_div(u->rows, COLUMNS_CHUNK) * u->C;
}

size_t group_norm_scratch(bool is_bf16, bool grad, const group_norm_tensors *u)
{
    if (group_norm_is_small(is_bf16, grad, u)) return 0;
    return (size_t)(partial_pairs(u) + (grad ? u->N * u->groups : 0)) * sizeof(float2);
}

template <typename T>
__global__ void __launch_bounds__(TILE_THREADS) group_norm_moments_kernel(group_norm_tensors u)
{
    constexpr int N = pack_width<T>, COLUMNS = tile_columns<T>;
    __shared__ tile_room<T> room;
    __shared__ float means[COLUMNS];
    const tile_place at = find_tile<T>(u.rows, u.C);
    const float count = (float)(at.end - at.chunk * COLUMNS_CHUNK);
    float x[TILE_STEPS][N], sum[N] = {};
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES;
        load_pack<N>((const T *)u.x + (at.image * u.rows + row) * u.C + at.column,
                     row < at.end ? at.n : 0, x[i]);
#pragma unroll
        for (int k = 0; k < N; k++) sum[k] += x[i][k];
    }
    const float total = tile_sum<T>(sum, room);
    if (threadIdx.x < COLUMNS) means[threadIdx.x] = total / count;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < N; k++) {
        const float mean = means[at.column - at.first + k];
        sum[k] = 0;
#pragma unroll
        for (int i = 0; i < TILE_STEPS; i++)
            sum[k] += at.row + i * TILE_LANES < at.end ? (x[i][k] - mean) * (x[i][k] - mean) : 0;
    }
    const float squares = tile_sum<T>(sum, room);
    const int column = at.first + (int)threadIdx.x;
    if (threadIdx.x < COLUMNS && column < u.C)
        ((float2 *)
             u.partial)[(at.image * ceil_div(u.rows, COLUMNS_CHUNK) + at.chunk) * u.C + column] =
            make_float2(means[threadIdx.x], squares);
}

/* Block: one group; f(pair, rows of its chunk) for each partial pair, chunk by chunk, thread t
 * pairs t, t + 256, ... */
template <typename F>
static __device__ __forceinline__ void each_pair(const group_norm_tensors &u, F f)
{
    const group_place g = find_group(u);
    const unsigned chunks = (unsigned)ceil_div(u.rows, COLUMNS_CHUNK);
    const float2 *pairs = (const float2 *)u.partial + g.image * chunks * u.C + g.group * g.channels;
    const unsigned count = chunks * (unsigned)g.channels;
    for (unsigned i = threadIdx.x; i < count; i += GROUP_THREADS) {
        const unsigned chunk = i / (unsigned)g.channels, channel = i - chunk * (unsigned)g.channels;
        const int64_t left = u.rows - (int64_t)chunk * COLUMNS_CHUNK;
        f(pairs[(int64_t)chunk * u.C + channel], (double)min(left, (int64_t)COLUMNS_CHUNK));
    }
}

/* The moments of a group from those of its parts, around the mean of its first. */
__global__ void __launch_bounds__(GROUP_THREADS) group_norm_join_kernel(group_norm_tensors u)
{
    __shared__ double room[2][GROUP_WARPS];
    const group_place g = find_group(u);
    const int64_t chunks = ceil_div(u.rows, COLUMNS_CHUNK);
    const float2 *first = (const float2 *)u.partial + g.image * chunks * u.C + g.group * g.channels;
    const double pivot = (double)first->x, count = (double)(u.rows * g.channels);
    double sum = 0, squares = 0;
    each_pair(u, [&](float2 pair, double rows) {
        const double mean = (double)pair.x - pivot;
        sum += rows * mean;
        squares += (double)pair.y + rows * mean * mean;
    });
    sum = block_sum<GROUP_WARPS>(sum, room[0]) / count;
    squares = block_sum<GROUP_WARPS>(squares, room[1]) / count;
    const double var = squares - sum * sum;
    if (threadIdx.x == 0)
        ((float2 *)u.stats)[blockIdx.x] = make_float2(
            (float)(pivot + sum), (float)(1 / sqrt((var < 0 ? 0 : var) + (double)u.eps)));
}

/* What a thread wants to know of its pack's channels. */
template <int N> struct pack_channels {
    float gamma[N], beta[N], mean[N], rstd[N];
};

template <int N>
static __device__ __forceinline__ void load_channels(const group_norm_tensors &u,
                                                     const tile_place &at, pack_channels<N> *c)
{
    const int channels = u.C / u.groups;
    load_floats(u.gamma + at.column, at.n, c->gamma);
    load_floats(u.beta + at.column, at.n, c->beta);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const int group = min(at.column + k, u.C - 1) / channels;
        const float2 stats = ((const float2 *)u.stats)[at.image * u.groups + group];
        c->mean[k] = stats.x;
        c->rstd[k] = stats.y;
    }
}

template <typename T>
__global__ void __launch_bounds__(TILE_THREADS) group_norm_apply_kernel(group_norm_tensors u)
{
    constexpr int N = pack_width<T>;
    const tile_place at = find_tile<T>(u.rows, u.C);
    pack_channels<N> c;
    load_channels(u, at, &c);
#pragma unroll
    for (int i = 0; i < TILE_STEPS; i++) {
        const int64_t row = at.row + i * TILE_LANES;
        const int64_t place = (at.image * u.rows + row) * u.C + at.column;
        const int n = row < at.end ? at.n : 0;
        float p[N];
        load_pack<N>((const T *)u.x + place, n, p);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float z = c.gamma[k] * ((p[k] - c.mean[k]) * c.rstd[k]) + c.beta[k];
            p[k] = u.silu ? activate(SILU, z) : z;
        }
        store_pack<N>(p, n, (T *)u.y + place);
    }
}

/* e and x^ of one pack. */
template <typename T, int N>
static __device__ __forceinline__ void load_gradient(const group_norm_tensors &u,
                                                     const pack_channels<N> &c, int64_t place,
                                                     int n, float (&e)[N], float (&xhat)[N])
{
    load_pack<N>((const T *)u.dy + place, n, e);
    load_pack<N>((const T *)u.x + place, n, xhat);
#pragma unroll
    for (int k = 0; k < N; k++) {
        xhat[k] = (xhat[k] - c.mean[k]) * c.rstd[k];
        e[k] = pull_back(u.silu, e[k], xhat[k], c.gamma[k], c.beta[k]);
    }
}

template <typename T>
__global__ void __launch_bounds__(TILE_THREADS) group_norm_grad_sums_kernel(group_norm_tensors u)
{
    constexpr int N = pack_width<T>;
    __shared__ tile_room<T> room[2];
    const tile_place at = find_tile<T>(u.rows, u.C);
    pack_channels<N> c;
    load_channels(u, at, &c);
    float sum_e[N] = {}, sum_ex[N] = {};
#pragma unroll 2
    for (int64_t row = at.row; row < at.end; row += TILE_LANES) {
        float e[N], xhat[N];
        load_gradient<T, N>(u, c, (at.image * u.rows + row) * u.C + at.column, at.n, e, xhat);
#pragma unroll
        for (int k = 0; k < N; k++) {
            sum_e[k] += e[k];
            sum_ex[k] += e[k] * xhat[k];
        }
    }
    const float total_e = tile_sum<T>(sum_e, room[0]), total_ex = tile_sum<T>(sum_ex, room[1]);
    const int column = at.first + (int)threadIdx.x;
    if (threadIdx.x < tile_columns<T> && column < u.C)
        ((float2 *)
             u.partial)[(at.image * ceil_div(u.rows, COLUMNS_CHUNK) + at.chunk) * u.C + column] =
            make_float2(total_e, total_ex);
}

__global__ void __launch_bounds__(GROUP_THREADS)
    group_norm_grad_join_kernel(group_norm_tensors u, float2 *means)
{
    __shared__ double room[2][GROUP_WARPS];
    const double count = (double)(u.rows * (u.C / u.groups));
    double sum_e = 0, sum_ex = 0;
    each_pair(u, [&](float2 pair, double) {
        sum_e += (double)pair.x;
        sum_ex += (double)pair.y;
    });
    sum_e = block_sum<GROUP_WARPS>(sum_e, room[0]) / count;
    sum_ex = block_sum<GROUP_WARPS>(sum_ex, room[1]) / count;
    if (threadIdx.x == 0) means[blockIdx.x] = make_float2((float)sum_e, (float)sum_ex);
}

template <typename T>
__global__ void __launch_bounds__(TILE_THREADS)
    group_norm_grad_apply_kernel(group_norm_tensors u, const float2 *means)
{
    constexpr int N = pack_width<T>;
    const tile_place at = find_tile<T>(u.rows, u.C);
    pack_channels<N> c;
    load_channels(u, at, &c);
    float2 mean[N];
#pragma unroll
    for (int k = 0; k < N; k++)
        mean[k] = means[at.image * u.groups + min(at.column + k, u.C - 1) / (u.C / u.groups)];
    for (int64_t row = at.row; row < at.end; row += TILE_LANES) {
        const int64_t place = (at.image * u.rows + row) * u.C + at.column;
        float e[N], xhat[N];
        load_gradient<T, N>(u, c, place, at.n, e, xhat);
#pragma unroll
        for (int k = 0; k < N; k++) e[k] = c.rstd[k] * (e[k] - mean[k].x - xhat[k] * mean[k].y);
        store_pack<N>(e, at.n, (T *)u.y + place);
    }
}

template <typename T> static cudaError_t forward(const group_norm_tensors *u, cudaStream_t stream)
{
    const int64_t groups = u->N * u->groups, tiles = tile_count<T>(u->N, u->rows, u->C);
    cudaError_t e = launch(group_norm_moments_kernel<T>, tiles, TILE_THREADS, 0, stream, *u);
    if (e == cudaSuccess) e = launch(group_norm_join_kernel, groups, GROUP_THREADS, 0, stream, *u);
    if (e == cudaSuccess)
        e = launch(group_norm_apply_kernel<T>, tiles, TILE_THREADS, 0, stream, *u);
    return e;
}

template <typename T> static cudaError_t backward(const group_norm_tensors *u, cudaStream_t stream)
{
    const int64_t groups = u->N * u->groups, tiles = tile_count<T>(u->N, u->rows, u->C);
    float2 *means = (float2 *)u->partial + partial_pairs(u);
    cudaError_t e = launch(group_norm_grad_sums_kernel<T>, tiles, TILE_THREADS, 0, stream, *u);
    if (e == cudaSuccess)
        e = launch(group_norm_grad_join_kernel, groups, GROUP_THREADS, 0, stream, *u, means);
    if (e == cudaSuccess)
        e = launch(group_norm_grad_apply_kernel<T>, tiles, TILE_THREADS, 0, stream, *u, means);
    return e;
}

cudaError_t launch_group_norm(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream)
{
    if (group_norm_is_small(is_bf16, false, u)) return group_norm_small(is_bf16, u, stream);
    return is_bf16 ? forward<bf16>(u, stream) : forward<float>(u, stream);
}

cudaError_t launch_group_norm_grad(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream)
{
    if (group_norm_is_small(is_bf16, true, u)) return group_norm_small_grad(is_bf16, u, stream);
    return is_bf16 ? backward<bf16>(u, stream) : backward<float>(u, stream);
}
