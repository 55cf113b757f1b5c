/* attention_grad, bf16, heads of up to 160 columns (Dao, arXiv:2307.08691, algorithm 2, but with no
 * sum that depends on which block comes first):
 *
 *     p = exp(scale q k' - lse);  ds = p (do v' - delta), delta = rowsum(do o)
 *     dv = p' do;  dk = scale ds' q;  dq = scale ds k
 *
 * `find_delta`: one warp per row and head. `flash_keys` (dk, dv): a block has 64 keys of one head
 * and walks through the queries; `flash_queries` (dq): 64 queries, walking through the keys; both
 * compute p and ds anew, ascending, 7 products instead of 5, and no atomics. A warp has 16 rows of
 * the fixed pair of tiles (k and v, or q and do); the other pair comes by STEP rows, two buffers,
 * the next copied while one is used. p and ds, rounded to bf16, go from c to a fragments without
 * leaving their lane. */
#include "cuda/attention.cuh"

/* As many as registers and shared memory allow. */
template <int DP> constexpr int step_rows = DP <= 80 ? 64 : DP <= 128 ? 32 : 16;

/* Elements: the fixed pair, two buffers of the other; then lse and delta of two buffers. */
template <int DP> constexpr int tile_elements = (2 * FIXED + 4 * step_rows<DP>)*pitch<DP>;
template <int DP>
constexpr size_t shared_bytes = sizeof(bf16) * tile_elements<DP> +
                                sizeof(float) * 4 * step_rows<DP>;

/* The pair that a block walks through. */
template <int DP> struct stream_pair {
    strip<bf16> a, b;
    bf16 *tile; /* buffer 0: a, b; buffer 1 */
    __device__ __forceinline__ bf16 *at(int buffer) const
    {
        return tile + buffer * 2 * step_rows<DP> * pitch<DP>;
    }
    __device__ __forceinline__ void load(int first, int buffer) const
    {
        load_strip<step_rows<DP>, DP>(a, first, at(buffer));
        load_strip<step_rows<DP>, DP>(b, first, at(buffer) + step_rows<DP> * pitch<DP>);
    }
};

/* From logits s and dp = do v': p in s and ds in dp. */
static __device__ __forceinline__ void find_ds(float &s, float &dp, bool seen, float scale,
                                               float lse, float delta)
{
    const float p = seen ? exp2f(s * scale - lse) : 0.0f;
    s = p;
    dp = seen ? p * (dp - delta) : 0.0f;
}

template <int DP>
static __global__ void __launch_bounds__(THREADS)
    flash_keys(const attention_sizes z, const bf16 *__restrict__ q, const bf16 *__restrict__ k,
               const bf16 *__restrict__ v, const bf16 *__restrict__ dout,
               const float *__restrict__ lse, const float *__restrict__ delta,
               bf16 *__restrict__ dk, bf16 *__restrict__ dv)
{
    constexpr int STEP = step_rows<DP>;
    extern __shared__ __align__(16) bf16 shared[];
    bf16 *tile_k = shared, *tile_v = shared + FIXED * pitch<DP>;
    float *numbers = (float *)(shared + tile_elements<DP>); /* lse (log 2), delta, twice */
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    const int first = (int)blockIdx.x * FIXED;
    const strip sk = strip_of(z, k, z.Tk), sv = strip_of(z, v, z.Tk);
    const stream_pair<DP> pair = {strip_of(z, q, z.Tq), strip_of(z, dout, z.Tq),
                                  shared + 2 * FIXED * pitch<DP>};
    const int64_t head_row = (int64_t)blockIdx.y * z.Tq;
    const auto load = [&](int at, int buffer) {
        pair.load(at, buffer);
        const int i = (int)threadIdx.x, query = at + i;
        if (i < STEP) {
            numbers[(2 * buffer) * STEP + i] = query < z.Tq ? lse[head_row + query] * LOG2E : 0.0f;
            numbers[(2 * buffer + 1) * STEP + i] = query < z.Tq ? delta[head_row + query] : 0.0f;
        }
    };
    float acc_k[DP / 8][4] = {}, acc_v[DP / 8][4] = {};
    const int begin =
        z.causal ? first / STEP * STEP : 0; /* earlier queries see none of these keys */

    load_strip<FIXED, DP>(sk, first, tile_k);
    load_strip<FIXED, DP>(sv, first, tile_v);
    load(begin, 0);
    copy_commit();
    for (int at = begin, buffer = 0; at < z.Tq; at += STEP, buffer ^= 1) {
        if (at + STEP < z.Tq) load(at + STEP, buffer ^ 1);
        copy_commit();
        copy_wait<1>();
        __syncthreads();
        const bf16 *tile_q = pair.at(buffer), *tile_do = tile_q + STEP * pitch<DP>;
        float s[STEP / 8][4], dp[STEP / 8][4];
        multiply_rows<STEP, DP>(tile_k + row * pitch<DP>, tile_q, lane, s);
        multiply_rows<STEP, DP>(tile_v + row * pitch<DP>, tile_do, lane, dp);
#pragma unroll
        for (int j = 0; j < STEP / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int i = j * 8 + lane % 4 * 2 + e % 2;
                const bool seen = is_seen(z, at + i, first + row + lane / 4 + e / 2 * 8);
                find_ds(s[j][e], dp[j][e], seen, z.scale * LOG2E, numbers[(2 * buffer) * STEP + i],
                        numbers[(2 * buffer + 1) * STEP + i]);
            }
        add_weighted<STEP, DP>(s, tile_do, lane, acc_v);
        add_weighted<STEP, DP>(dp, tile_q, lane, acc_k);
        __syncthreads(); /* before the buffer is filled again */
    }
    copy_wait<0>();
    __syncthreads();
    const float scale[2] = {z.scale, z.scale}, one[2] = {1.0f, 1.0f};
    store_rows<DP>(acc_k, scale, tile_k + row * pitch<DP>, sk, first + row, lane,
                   dk + (sk.head - k));
    store_rows<DP>(acc_v, one, tile_v + row * pitch<DP>, sv, first + row, lane, dv + (sv.head - v));
}

template <int DP>
static __global__ void __launch_bounds__(THREADS)
    flash_queries(const attention_sizes z, const bf16 *__restrict__ q, const bf16 *__restrict__ k,
                  const bf16 *__restrict__ v, const bf16 *__restrict__ dout,
                  const float *__restrict__ lse, const float *__restrict__ delta,
                  bf16 *__restrict__ dq)
{
    constexpr int STEP = step_rows<DP>;
    extern __shared__ __align__(16) bf16 shared[];
    bf16 *tile_q = shared, *tile_do = shared + FIXED * pitch<DP>;
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    const int first = (int)blockIdx.x * FIXED;
    const strip sq = strip_of(z, q, z.Tq), sdo = strip_of(z, dout, z.Tq);
    const stream_pair<DP> pair = {strip_of(z, k, z.Tk), strip_of(z, v, z.Tk),
                                  shared + 2 * FIXED * pitch<DP>};
    const int keys = z.causal ? min(z.Tk, first + FIXED) : z.Tk;
    float row_lse[2], row_delta[2], acc[DP / 8][4] = {};
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int query = first + row + lane / 4 + 8 * h;
        const int64_t at = (int64_t)blockIdx.y * z.Tq + query;
        row_lse[h] = query < z.Tq ? lse[at] * LOG2E : 0.0f;
        row_delta[h] = query < z.Tq ? delta[at] : 0.0f;
    }
    load_strip<FIXED, DP>(sq, first, tile_q);
    load_strip<FIXED, DP>(sdo, first, tile_do);
    pair.load(0, 0);
    copy_commit();
    for (int at = 0, buffer = 0; at < keys; at += STEP, buffer ^= 1) {
        if (at + STEP < keys) pair.load(at + STEP, buffer ^ 1);
        copy_commit();
        copy_wait<1>();
        __syncthreads();
        const bf16 *tile_k = pair.at(buffer), *tile_v = tile_k + STEP * pitch<DP>;
        float s[STEP / 8][4], dp[STEP / 8][4];
        multiply_rows<STEP, DP>(tile_q + row * pitch<DP>, tile_k, lane, s);
        multiply_rows<STEP, DP>(tile_do + row * pitch<DP>, tile_v, lane, dp);
#pragma unroll
        for (int j = 0; j < STEP / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int key = at + j * 8 + lane % 4 * 2 + e % 2;
                const bool seen = is_seen(z, first + row + lane / 4 + e / 2 * 8, key);
                find_ds(s[j][e], dp[j][e], seen, z.scale * LOG2E, row_lse[e / 2], row_delta[e / 2]);
            }
        add_weighted<STEP, DP>(dp, tile_k, lane, acc);
        __syncthreads(); /* before the buffer is filled again */
    }
    copy_wait<0>();
    __syncthreads();
    const float scale[2] = {z.scale, z.scale};
    store_rows<DP>(acc, scale, tile_q + row * pitch<DP>, sq, first + row, lane, dq + (sq.head - q));
}

cudaError_t launch_attention_grad(const attention_sizes *z, const attention_grad_tensors *t,
                                  cudaStream_t stream)
{
    const cudaError_t error = launch_delta<bf16>(z, t, stream);
    if (error != cudaSuccess) return error;
    return by_width(z->width, [=](auto width) {
        constexpr int DP = decltype(width)::value;
        const bf16 *q = (const bf16 *)t->q, *k = (const bf16 *)t->k, *v = (const bf16 *)t->v;
        const bf16 *dout = (const bf16 *)t->dout;
        const float *lse = t->lse, *delta = t->delta;
        const cudaError_t failed =
            launch_flash(flash_keys<DP>, z, z->Tk, shared_bytes<DP>, stream, *z, q, k, v, dout, lse,
                         delta, (bf16 *)t->dk, (bf16 *)t->dv);
        if (failed != cudaSuccess) return failed;
        return launch_flash(flash_queries<DP>, z, z->Tq, shared_bytes<DP>, stream, *z, q, k, v,
                            dout, lse, delta, (bf16 *)t->dq);
    });
}
