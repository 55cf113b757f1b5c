/* attention, bf16, heads of up to 160 columns: o = softmax(scale q k') v without writing the logits
 * (Dao, arXiv:2307.08691, algorithm 1).
 *
 * A block has 64 queries of one head, a warp 16 of them; it walks through the keys by 64,
 * ascending. A tile of k is copied while the tile before it meets v, and v while k meets q, so one
 * buffer each is enough. Logits, in units of log 2, and o stay in registers; each lane sums its own
 * columns of a row, and the four lanes of a row are added at the end, neighbours first. */
#include "cuda/attention.cuh"

/* The rows of a lane: largest logit so far, this lane's part of the sum of exp2(logit - largest).
 */
struct softmax_rows {
    float largest[2], sum[2];
};

/* Scales the logits of keys first.. and masks those that the row does not see. */
static __device__ __forceinline__ void
mask_logits(const attention_sizes &z, float (&s)[FIXED / 8][4], int query, int first, int lane)
{
    const float scale = z.scale * LOG2E;
#pragma unroll
    for (int j = 0; j < FIXED / 8; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int key = first + j * 8 + lane % 4 * 2 + e % 2;
            const bool seen = key < z.Tk && (!z.causal || key <= query + e / 2 * 8);
            s[j][e] = seen ? s[j][e] * scale : -INFINITY;
        }
}

/* Turns logits into exp2(logit - largest) and brings sum and o to the new largest one. */
template <int DP>
static __device__ __forceinline__ void soften(float (&s)[FIXED / 8][4], softmax_rows &rows,
                                              float (&o)[DP / 8][4])
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float largest = rows.largest[h];
#pragma unroll
        for (int j = 0; j < FIXED / 8; j++)
            largest = fmaxf(largest, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
        const float shrink = exp2f(rows.largest[h] - largest);
        rows.largest[h] = largest;
        float sum = rows.sum[h] * shrink;
#pragma unroll
        for (int j = 0; j < FIXED / 8; j++)
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++) sum += s[j][e] = exp2f(s[j][e] - largest);
        rows.sum[h] = sum;
#pragma unroll
        for (int j = 0; j < DP / 8; j++)
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++) o[j][e] *= shrink;
    }
}

template <int DP>
static __global__ void __launch_bounds__(THREADS, 2)
    flash_forward(const attention_sizes z, const bf16 *__restrict__ q, const bf16 *__restrict__ k,
                  const bf16 *__restrict__ v, bf16 *__restrict__ o, float *__restrict__ lse)
{
    extern __shared__ __align__(16) bf16 shared[];
    bf16 *tile_q = shared, *tile_k = tile_q + FIXED * pitch<DP>,
         *tile_v = tile_k + FIXED * pitch<DP>;
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    const int first = (int)blockIdx.x * FIXED;
    const strip sq = strip_of(z, q, z.Tq), sk = strip_of(z, k, z.Tk), sv = strip_of(z, v, z.Tk);
    const int keys = z.causal ? min(z.Tk, first + FIXED) : z.Tk;
    float acc[DP / 8][4] = {}, s[FIXED / 8][4];
    softmax_rows rows = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};

    load_strip<FIXED, DP>(sq, first, tile_q);
    load_strip<FIXED, DP>(sk, 0, tile_k);
    copy_commit();
    for (int at = 0; at < keys; at += FIXED) {
        copy_wait<0>();  /* k is there, */
        __syncthreads(); /* and all are done with v */
        load_strip<FIXED, DP>(sv, at, tile_v);
        copy_commit();
        multiply_rows<FIXED, DP>(tile_q + row * pitch<DP>, tile_k, lane, s);
        copy_wait<0>();  /* v is there, */
        __syncthreads(); /* and all are done with k */
        if (at + FIXED < keys) load_strip<FIXED, DP>(sk, at + FIXED, tile_k);
        copy_commit();
        mask_logits(z, s, first + row + lane / 4, at, lane);
        soften<DP>(s, rows, acc);
        add_weighted<FIXED, DP>(s, tile_v, lane, acc);
    }
    float share[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = rows.sum[h];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        share[h] = 1.0f / sum;
        const int query = first + row + lane / 4 + 8 * h;
        if (lane % 4 == 0 && query < z.Tq)
            lse[(int64_t)blockIdx.y * z.Tq + query] =
                (rows.largest[h] + log2f(sum)) * (1.0f / LOG2E);
    }
    store_rows<DP>(acc, share, tile_q + row * pitch<DP>, sq, first + row, lane, o + (sq.head - q));
}

cudaError_t launch_attention(const attention_sizes *z, const void *q, const void *k, const void *v,
                             void *o, float *lse, cudaStream_t stream)
{
    return by_width(z->width, [=](auto width) {
        constexpr int DP = decltype(width)::value;
        return launch_flash(flash_forward<DP>, z, z->Tq, sizeof(bf16) * 3 * FIXED * pitch<DP>,
                            stream, *z, (const bf16 *)q, (const bf16 *)k, (const bf16 *)v,
                            (bf16 *)o, lse);
    });
}
