/* group_norm_small.cu: group_norm of groups that fit in shared memory: one block per group reads x
 * (and dy) once. Thread t takes packs of 8 bytes t, t + 256, ... of the group, row by row, and
 * finds its own packs again in the later passes. Sums: threads in order, lanes, warps. */
#include "cuda/group_norm.cuh"

/* Bytes of a small group, with its dy in the gradient; and what one row of it should have, unless
 * there is so little that sectors of 32 bytes, partly used, do not matter. */
enum { MOST_SMALL_BYTES = 44 << 10, LEAST_ROW_BYTES = 64, TINY_BYTES = 8 << 10 };

template <typename T> static size_t group_bytes(const group_norm_tensors *u, bool grad)
{
    return sizeof(T) * (size_t)(u->rows * (u->C / u->groups)) * (grad ? 2 : 1);
}

template <typename T> static bool is_small(const group_norm_tensors *u, bool grad)
{
    const size_t bytes = group_bytes<T>(u, grad), row = sizeof(T) * (size_t)(u->C / u->groups);
    return bytes <= MOST_SMALL_BYTES && (row >= LEAST_ROW_BYTES || bytes <= TINY_BYTES);
}

bool group_norm_is_small(bool is_bf16, bool grad, const group_norm_tensors *u)
{
    return is_bf16 ? is_small<bf16>(u, grad) : is_small<float>(u, grad);
}

/* f(place in x, place in the group, channel of the group, n) for each pack of this thread. */
template <int N, typename F>
static __device__ __forceinline__ void each_group_pack(const group_norm_tensors &u,
                                                       const group_place &g, F f)
{
    const unsigned packs = (unsigned)(g.channels + N - 1) / N, count = packs * (unsigned)u.rows;
    for (unsigned i = threadIdx.x; i < count; i += GROUP_THREADS) {
        const unsigned row = i / packs;
        const int channel = (int)(i - row * packs) * N;
        f(g.base + (int64_t)row * u.C + channel, (int)row * g.channels + channel, channel,
          min(N, g.channels - channel));
    }
}

extern __shared__ uint4 group_room[];

template <typename T>
__global__ void __launch_bounds__(GROUP_THREADS) group_norm_small_kernel(group_norm_tensors u)
{
    constexpr int N = 8 / (int)sizeof(T);
    __shared__ float room[2][GROUP_WARPS];
    T *held = (T *)group_room;
    const group_place g = find_group(u);
    const T *x = (const T *)u.x;
    const float pivot = to_float(x[g.base]), count = (float)(u.rows * g.channels);
    float sum = 0, squares = 0;
    each_group_pack<N>(u, g, [&](int64_t at, int place, int, int n) {
        T raw[N];
        load_raw<N>(x + at, n, raw);
        store_raw<N>(raw, n, held + place);
#pragma unroll
        for (int k = 0; k < N; k++) sum += k < n ? to_float(raw[k]) - pivot : 0;
    });
    const float mean = pivot + block_sum<GROUP_WARPS>(sum, room[0]) / count;
    each_group_pack<N>(u, g, [&](int64_t, int place, int, int n) {
        float p[N];
        load_pack<N>(held + place, n, p);
#pragma unroll
        for (int k = 0; k < N; k++) squares += k < n ? (p[k] - mean) * (p[k] - mean) : 0;
    });
    const float rstd = 1.0f / sqrtf(block_sum<GROUP_WARPS>(squares, room[1]) / count + u.eps);
    each_group_pack<N>(u, g, [&](int64_t at, int place, int channel, int n) {
        float p[N], gamma[N], beta[N];
        load_pack<N>(held + place, n, p);
        load_floats(u.gamma + g.group * g.channels + channel, n, gamma);
        load_floats(u.beta + g.group * g.channels + channel, n, beta);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float z = gamma[k] * ((p[k] - mean) * rstd) + beta[k];
            p[k] = u.silu ? activate(SILU, z) : z;
        }
        store_pack<N>(p, n, (T *)u.y + at);
    });
    if (threadIdx.x == 0) ((float2 *)u.stats)[blockIdx.x] = make_float2(mean, rstd);
}

template <typename T>
__global__ void __launch_bounds__(GROUP_THREADS) group_norm_small_grad_kernel(group_norm_tensors u)
{
    constexpr int N = 8 / (int)sizeof(T);
    __shared__ float room[2][GROUP_WARPS];
    const group_place g = find_group(u);
    const float2 stats = ((const float2 *)u.stats)[blockIdx.x];
    const float count = (float)(u.rows * g.channels);
    T *held_x = (T *)group_room, *held_dy = held_x + u.rows * g.channels;
    const auto pull = [&](int place, int channel, int n, float(&e)[N], float(&xhat)[N]) {
        float gamma[N], beta[N];
        load_pack<N>(held_x + place, n, xhat);
        load_pack<N>(held_dy + place, n, e);
        load_floats(u.gamma + g.group * g.channels + channel, n, gamma);
        load_floats(u.beta + g.group * g.channels + channel, n, beta);
#pragma unroll
        for (int k = 0; k < N; k++) {
            xhat[k] = (xhat[k] - stats.x) * stats.y;
            e[k] = pull_back(u.silu, e[k], xhat[k], gamma[k], beta[k]);
        }
    };
    float sum_e = 0, sum_ex = 0;
    each_group_pack<N>(u, g, [&](int64_t at, int place, int channel, int n) {
        T raw[N];
        float e[N], xhat[N];
        load_raw<N>((const T *)u.x + at, n, raw);
        store_raw<N>(raw, n, held_x + place);
        load_raw<N>((const T *)u.dy + at, n, raw);
        store_raw<N>(raw, n, held_dy + place);
        pull(place, channel, n, e, xhat);
#pragma unroll
        for (int k = 0; k < N; k++) {
            sum_e += k < n ? e[k] : 0;
            sum_ex += k < n ? e[k] * xhat[k] : 0;
        }
    });
    const float mean_e = block_sum<GROUP_WARPS>(sum_e, room[0]) / count;
    const float mean_ex = block_sum<GROUP_WARPS>(sum_ex, room[1]) / count;
    each_group_pack<N>(u, g, [&](int64_t at, int place, int channel, int n) {
        float e[N], xhat[N];
        pull(place, channel, n, e, xhat);
#pragma unroll
        for (int k = 0; k < N; k++) e[k] = stats.y * (e[k] - mean_e - xhat[k] * mean_ex);
        store_pack<N>(e, n, (T *)u.y + at);
    });
}

cudaError_t group_norm_small(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(group_norm_small_kernel<T>, u->N * u->groups, GROUP_THREADS,
                      group_bytes<T>(u, false), stream, *u);
    });
}

cudaError_t group_norm_small_grad(bool is_bf16, const group_norm_tensors *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(group_norm_small_grad_kernel<T>, u->N * u->groups, GROUP_THREADS,
                      group_bytes<T>(u, true), stream, *u);
    });
}
