/* embedding.cu: embedding, its gradient and timestep_embedding. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 256;

/* A pack of y: row ids[i] of the table, bit by bit. All bits are 1, which is NaN, where there is no
 * such row: a loss that is not a number ends the run. */
template <typename T> __global__ void __launch_bounds__(THREADS) embedding_kernel(embedding_rows u)
{
    constexpr int N = pack_width<T>;
    const pack_place at = find_pack<N>(blockIdx.x * THREADS + threadIdx.x, u.C);
    if (at.row >= u.count) return;
    const int id = u.ids[at.row];
    T p[N];
    if (id >= 0 && id < u.V)
        load_raw<N>((const T *)u.from + (int64_t)id * u.C + at.column, at.n, p);
    else
        memset((void *)p, 0xff, sizeof p);
    store_raw<N>(p, at.n, (T *)u.to + at.row * u.C + at.column);
}

cudaError_t launch_embedding(bool is_bf16, const embedding_rows *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch_packs<pack_width<T>>(embedding_kernel<T>, u->count, u->C, THREADS, stream,
                                           *u);
    });
}

static constexpr int GRAD_THREADS = 128;

/* Block v: row v of dtable, the sum of dy[i] over all i with ids[i] == v, i rising, in fp32. Each
 * warp looks at 32 ids at a time. */
template <typename T>
__global__ void __launch_bounds__(GRAD_THREADS) embedding_grad_kernel(embedding_rows u)
{
    constexpr int N = pack_width<T>;
    const int64_t v = blockIdx.x;
    const int lane = threadIdx.x % WARP, packs = (u.C + N - 1) / N;
    for (int first = 0; first < packs; first += GRAD_THREADS) {
        const int column = (first + (int)threadIdx.x) * N, n = min(N, u.C - column);
        float sum[N] = {};
        for (int64_t base = 0; base < u.count; base += WARP) {
            const int64_t mine = base + lane;
            unsigned same = __ballot_sync(0xffffffffu, mine < u.count && u.ids[mine] == v);
            for (; same; same &= same - 1) {
                const int64_t row = base + __ffs((int)same) - 1;
                float x[N];
                load_pack<N>((const T *)u.from + row * u.C + column, n, x);
#pragma unroll
                for (int k = 0; k < N; k++) sum[k] += x[k];
            }
        }
        store_pack<N>(sum, n, (T *)u.to + v * u.C + column);
    }
}

cudaError_t launch_embedding_grad(bool is_bf16, const embedding_rows *u, cudaStream_t stream)
{
    return by_type(is_bf16, [&](auto zero) {
        using T = decltype(zero);
        return launch(embedding_grad_kernel<T>, u->V, GRAD_THREADS, 0, stream, *u);
    });
}

/* Thread: frequency j of time i, in fp64: an angle of 1000 in fp32 would be off by 3e-5. Angles are
 * counted in half turns, whose sine needs no table. */
__global__ void __launch_bounds__(THREADS)
    timestep_embedding_kernel(const float *__restrict__ t, float *__restrict__ y, int64_t M,
                              int width, bool cos_first, float shift)
{
    const unsigned half = (unsigned)width / 2, columns = half + (unsigned)width % 2;
    const unsigned index = blockIdx.x * THREADS + threadIdx.x;
    const unsigned i = index / columns, j = index - i * columns;
    if (i >= M) return;
    float *row = y + (int64_t)i * width;
    if (j == half) { /* the last column of an odd width */
        row[width - 1] = 0.0f;
        return;
    }
    const double log_10000 = 9.2103403719761827, half_turn = 0.31830988618379067; /* 1 / pi */
    const double frequency = exp(-log_10000 * (double)j / ((double)half - (double)shift));
    double sine, cosine;
    sincospi((double)t[i] * frequency * half_turn, &sine, &cosine);
    row[j] = (float)(cos_first ? cosine : sine);
    row[half + j] = (float)(cos_first ? sine : cosine);
}

cudaError_t launch_timestep_embedding(const float *t, float *y, int64_t M, int width,
                                      bool cos_first, float shift, cudaStream_t stream)
{
    const int64_t items = M * (width / 2 + width % 2);
    return launch(timestep_embedding_kernel, ceil_div(items, THREADS), THREADS, 0, stream, t, y, M,
                  width, cos_first, shift);
}
