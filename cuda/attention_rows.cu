/* The rows of attention between its products, where these are products of whole matrices (heads of
 * more than 160 columns): one block per row of logits, fp32 [heads, rows, ld]. Each thread takes
 * every 128th key in ascending order; then lanes, then warps, as block_sum does. */
#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int THREADS = 128, WARPS = THREADS / WARP;
static constexpr float LOG2E = 1.44269504088896340736f;

/* The largest value of a block, for all its threads; NaN is no value. `room` holds WARPS values. */
static __device__ __forceinline__ float block_max(float x, float *room)
{
#pragma unroll
    for (int distance = 1; distance < WARP; distance *= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = x;
    __syncthreads();
    float largest = room[0];
#pragma unroll
    for (int i = 1; i < WARPS; i++) largest = fmaxf(largest, room[i]);
    return largest;
}

static __device__ __forceinline__ int keys_seen(const attention_piece &z, int row)
{
    return z.causal ? min(z.Tk, z.first + row + 1) : z.Tk;
}

/* p = softmax of the logits s, 0 where a key is not seen; lse [heads, Tq]. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    softmax(const attention_piece z, const float *__restrict__ s, T *__restrict__ p,
            float *__restrict__ lse)
{
    __shared__ float room[2][WARPS];
    const int row = (int)blockIdx.x, head = (int)blockIdx.y, keys = keys_seen(z, row);
    const int64_t at = ((int64_t)head * z.rows + row) * z.ld;
    float largest = -INFINITY, sum = 0.0f;
    for (int j = (int)threadIdx.x; j < keys; j += THREADS) largest = fmaxf(largest, s[at + j]);
    largest = block_max(largest, room[0]);
    for (int j = (int)threadIdx.x; j < keys; j += THREADS)
        sum += exp2f((s[at + j] - largest) * LOG2E);
    sum = block_sum<WARPS>(sum, room[1]);
    const float share = 1.0f / sum;
    for (int j = (int)threadIdx.x; j < z.Tk; j += THREADS)
        p[at + j] = from_float<T>(j < keys ? exp2f((s[at + j] - largest) * LOG2E) * share : 0.0f);
    if (threadIdx.x == 0) lse[(int64_t)head * z.Tq + z.first + row] = largest + logf(sum);
}

/* p = exp(s - lse) and ds = p (dp - delta), delta = rowsum(do o) over the head's columns. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    softmax_grad(const attention_piece z, const float *__restrict__ s, const float *__restrict__ dp,
                 const T *__restrict__ o, const T *__restrict__ dout, const float *__restrict__ lse,
                 T *__restrict__ p, T *__restrict__ ds)
{
    __shared__ float room[WARPS];
    const int row = (int)blockIdx.x, head = (int)blockIdx.y, keys = keys_seen(z, row);
    const int64_t at = ((int64_t)head * z.rows + row) * z.ld;
    const int64_t columns = (int64_t)(z.first + row) * z.heads * z.width + head * z.width;
    float delta = 0.0f;
    for (int c = (int)threadIdx.x; c < z.width; c += THREADS)
        delta += to_float(o[columns + c]) * to_float(dout[columns + c]);
    delta = block_sum<WARPS>(delta, room);
    const float row_lse = lse[(int64_t)head * z.Tq + z.first + row];
    for (int j = (int)threadIdx.x; j < z.Tk; j += THREADS) {
        const float weight = j < keys ? exp2f((s[at + j] - row_lse) * LOG2E) : 0.0f;
        p[at + j] = from_float<T>(weight);
        ds[at + j] = from_float<T>(j < keys ? weight * (dp[at + j] - delta) : 0.0f);
    }
}

static __global__ void __launch_bounds__(256)
    round_sums(const float *__restrict__ x, bf16 *__restrict__ y, int64_t packs, int64_t n)
{
    const int64_t pack = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (pack >= packs) return;
    float part[4];
    load_floats<4>(x + pack * 4, (int)min((int64_t)4, n - pack * 4), part);
    store_pack<4>(part, (int)min((int64_t)4, n - pack * 4), y + pack * 4);
}

cudaError_t launch_attention_round(const float *x, void *y, int64_t n, cudaStream_t stream)
{
    const int64_t packs = ceil_div(n, 4);
    return launch(round_sums, ceil_div(packs, 256), 256, 0, stream, x, (bf16 *)y, packs, n);
}

cudaError_t launch_attention_softmax(const attention_piece *z, bool is_bf16, const float *s,
                                     void *p, float *lse, cudaStream_t stream)
{
    const dim3 grid((unsigned)z->rows, (unsigned)z->heads);
    if (is_bf16)
        softmax<<<grid, THREADS, 0, stream>>>(*z, s, (bf16 *)p, lse);
    else
        softmax<<<grid, THREADS, 0, stream>>>(*z, s, (float *)p, lse);
    return cudaGetLastError();
}

cudaError_t launch_attention_softmax_grad(const attention_piece *z, bool is_bf16,
                                          const attention_rows_tensors *t, cudaStream_t stream)
{
    const dim3 grid((unsigned)z->rows, (unsigned)z->heads);
    if (is_bf16)
        softmax_grad<<<grid, THREADS, 0, stream>>>(*z, t->s, t->dp, (const bf16 *)t->o,
                                                   (const bf16 *)t->dout, t->lse, (bf16 *)t->p,
                                                   (bf16 *)t->ds);
    else
        softmax_grad<<<grid, THREADS, 0, stream>>>(*z, t->s, t->dp, (const float *)t->o,
                                                   (const float *)t->dout, t->lse, (float *)t->p,
                                                   (float *)t->ds);
    return cudaGetLastError();
}
