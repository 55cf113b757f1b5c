/* attention and attention_grad, fp32, heads of up to 160 columns: the algorithms of
 * attention_forward.cu and attention_grad.cu, whose formulas these are, without tensor cores, which
 * would round the operands.
 *
 * A block of 16 x 16 threads has ROWS rows of one head, the fixed ones; it walks through the other
 * side by STEP rows, ascending. Thread (ty, tx) has fixed rows ty ROWS / 16 and the next ones; of
 * those it computes the logits of rows tx and tx + 16 of a step, and columns tx, tx + 16, ... of
 * the results. So a row of p is written and read by the same half of a warp, and every sum is one
 * thread's, in ascending order. Rows take DP + 4 elements in shared memory: an odd number of
 * 16-byte pieces, so 8 of them lie in different banks. */
#include "cuda/attention.cuh"

static constexpr int BLOCK = 256, SIDE = 16, STEP = 32, STEP_PITCH = STEP + 4;
static constexpr int ACROSS = STEP / SIDE; /* logits of a thread in a row */

/* As many fixed rows as leave shared memory for two blocks per multiprocessor of 8.0. */
template <int DP> constexpr int fixed_rows = DP <= 80 ? 64 : 32;
template <int DP> constexpr int own_rows = fixed_rows<DP> / SIDE;
template <int DP> constexpr int f32_pitch = DP + 4;

/* fixed_rows<DP> rows of weights, or of their gradients */
template <int DP> constexpr int weight_elements = fixed_rows<DP> *STEP_PITCH;

template <int DP>
constexpr size_t forward_bytes = sizeof(float) * ((fixed_rows<DP> + 2 * STEP) * f32_pitch<DP> +
                                                  weight_elements<DP>);
template <int DP>
constexpr size_t grad_bytes = sizeof(float) * ((2 * fixed_rows<DP> + 2 * STEP) * f32_pitch<DP> +
                                               2 * weight_elements<DP> + 2 * fixed_rows<DP>);

/* tile [COUNT,DP] = rows first.. of s, 0 outside of it. */
template <int COUNT, int DP>
static __device__ __forceinline__ void load_rows(const strip<float> &s, int first, float *tile)
{
    for (int i = (int)threadIdx.x; i < COUNT * DP / 4; i += BLOCK) {
        const int r = i / (DP / 4), c = i % (DP / 4) * 4;
        float part[4];
        load_raw<4>(s.head + (first + r) * s.stride + c, first + r < s.rows ? s.width - c : 0,
                    part);
        store_raw<4>(part, 4, tile + r * f32_pitch<DP> + c);
    }
}

/* s = a b', a: the thread's fixed rows, b: its rows of a step. */
template <int DP>
static __device__ __forceinline__ void dot_rows(const float *a, const float *b,
                                                float (&s)[own_rows<DP>][ACROSS])
{
#pragma unroll
    for (int i = 0; i < own_rows<DP>; i++)
#pragma unroll
        for (int j = 0; j < ACROSS; j++) s[i][j] = 0.0f;
#pragma unroll 2
    for (int d = 0; d < DP; d += 4) {
        float4 right[ACROSS];
#pragma unroll
        for (int j = 0; j < ACROSS; j++)
            right[j] = *(const float4 *)(b + j * SIDE * f32_pitch<DP> + d);
#pragma unroll
        for (int i = 0; i < own_rows<DP>; i++) {
            const float4 left = *(const float4 *)(a + i * f32_pitch<DP> + d);
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
                s[i][j] = fmaf(left.x, right[j].x, s[i][j]);
                s[i][j] = fmaf(left.y, right[j].y, s[i][j]);
                s[i][j] = fmaf(left.z, right[j].z, s[i][j]);
                s[i][j] = fmaf(left.w, right[j].w, s[i][j]);
            }
        }
    }
}

/* acc += p b, p: the thread's fixed rows [STEP], b: its columns of a step's rows. */
template <int DP>
static __device__ __forceinline__ void add_steps(const float *p, const float *b,
                                                 float (&acc)[own_rows<DP>][DP / SIDE])
{
#pragma unroll 2
    for (int k = 0; k < STEP; k += 4) {
        float left[own_rows<DP>][4];
#pragma unroll
        for (int i = 0; i < own_rows<DP>; i++) load_raw<4>(p + i * STEP_PITCH + k, 4, left[i]);
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int c = 0; c < DP / SIDE; c++) {
                const float right = b[(k + e) * f32_pitch<DP> + c * SIDE];
#pragma unroll
                for (int i = 0; i < own_rows<DP>; i++)
                    acc[i][c] = fmaf(left[i][e], right, acc[i][c]);
            }
    }
}

/* Rows first.. of `to`, laid out as s, = acc times factor. */
template <int DP>
static __device__ __forceinline__ void store_own(const float (&acc)[own_rows<DP>][DP / SIDE],
                                                 const float (&factor)[own_rows<DP>],
                                                 const strip<float> &s, int first, float *to)
{
#pragma unroll
    for (int i = 0; i < own_rows<DP>; i++)
#pragma unroll
        for (int c = 0; c < DP / SIDE; c++) {
            const int column = (int)threadIdx.x % SIDE + c * SIDE;
            if (first + i < s.rows && column < s.width)
                to[(first + i) * s.stride + column] = acc[i][c] * factor[i];
        }
}

/* The join of the 16 threads of a row: neighbours first. */
template <typename F> static __device__ __forceinline__ float join_row(float x, F join)
{
#pragma unroll
    for (int distance = 1; distance < SIDE; distance *= 2)
        x = join(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

/* One row's logits s become exp(s - largest), written to p; sum and o are brought to the new
 * largest one. sum is this thread's part. */
template <int COLUMNS>
static __device__ __forceinline__ void soften_row(const float (&s)[ACROSS], float *p,
                                                  float &largest, float &sum, float (&o)[COLUMNS])
{
    float most = largest;
#pragma unroll
    for (int j = 0; j < ACROSS; j++) most = fmaxf(most, s[j]);
    most = join_row(most, [](float a, float b) { return fmaxf(a, b); });
    const float shrink = exp2f((largest - most) * LOG2E);
    largest = most;
    sum *= shrink;
#pragma unroll
    for (int j = 0; j < ACROSS; j++) {
        const float weight = exp2f((s[j] - most) * LOG2E);
        p[j * SIDE] = weight;
        sum += weight;
    }
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) o[c] *= shrink;
}

template <int DP>
static __global__ void __launch_bounds__(BLOCK, 2)
    plain_forward(const attention_sizes z, const float *__restrict__ q, const float *__restrict__ k,
                  const float *__restrict__ v, float *__restrict__ o, float *__restrict__ lse)
{
    constexpr int ROWS = fixed_rows<DP>, OWN = own_rows<DP>, PITCH = f32_pitch<DP>;
    extern __shared__ __align__(16) float space[];
    float *tile_q = space, *tile_k = tile_q + ROWS * PITCH, *tile_v = tile_k + STEP * PITCH;
    const int tx = (int)threadIdx.x % SIDE, row = (int)threadIdx.x / SIDE * OWN;
    float *p = tile_v + STEP * PITCH + row * STEP_PITCH;
    const int first = (int)blockIdx.x * ROWS;
    const strip sq = strip_of(z, q, z.Tq), sk = strip_of(z, k, z.Tk), sv = strip_of(z, v, z.Tk);
    const int keys = z.causal ? min(z.Tk, first + ROWS) : z.Tk;
    float acc[OWN][DP / SIDE] = {}, largest[OWN], sum[OWN] = {};
#pragma unroll
    for (int i = 0; i < OWN; i++) largest[i] = -INFINITY;

    load_rows<ROWS, DP>(sq, first, tile_q);
    for (int at = 0; at < keys; at += STEP) {
        load_rows<STEP, DP>(sk, at, tile_k);
        load_rows<STEP, DP>(sv, at, tile_v);
        __syncthreads();
        float s[OWN][ACROSS];
        dot_rows<DP>(tile_q + row * PITCH, tile_k + tx * PITCH, s);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
                const int key = at + tx + j * SIDE;
                const bool seen = key < z.Tk && (!z.causal || key <= first + row + i);
                s[i][j] = seen ? s[i][j] * z.scale : -INFINITY;
            }
            soften_row(s[i], p + i * STEP_PITCH + tx, largest[i], sum[i], acc[i]);
        }
        __syncwarp();
        add_steps<DP>(p, tile_v + tx, acc);
        __syncthreads(); /* before the tiles are filled again */
    }
    float share[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        const float total = join_row(sum[i], [](float a, float b) { return a + b; });
        share[i] = 1.0f / total;
        if (tx == 0 && first + row + i < z.Tq)
            lse[(int64_t)blockIdx.y * z.Tq + first + row + i] = largest[i] + logf(total);
    }
    store_own<DP>(acc, share, sq, first + row, o + (sq.head - q));
}

cudaError_t launch_attention_f32(const attention_sizes *z, const void *q, const void *k,
                                 const void *v, void *o, float *lse, cudaStream_t stream)
{
    return by_width(z->width, [=](auto width) {
        constexpr int DP = decltype(width)::value;
        return launch_flash<fixed_rows<DP>, BLOCK>(plain_forward<DP>, z, z->Tq, forward_bytes<DP>,
                                                   stream, *z, (const float *)q, (const float *)k,
                                                   (const float *)v, (float *)o, lse);
    });
}

/* numbers [2,COUNT] = lse, delta of queries first..; what is outside is 0. */
template <int COUNT>
static __device__ __forceinline__ void load_numbers(const attention_sizes &z, int first,
                                                    const attention_grad_tensors &t, float *numbers)
{
    const int i = (int)threadIdx.x;
    if (i >= COUNT) return;
    const int64_t at = (int64_t)blockIdx.y * z.Tq + first + i;
    numbers[i] = first + i < z.Tq ? t.lse[at] : 0.0f;
    numbers[COUNT + i] = first + i < z.Tq ? t.delta[at] : 0.0f;
}

/* KEYS: k and v are fixed, q and do are walked through, and the results are dk and dv. Else q and
 * do are fixed, and the result is dq. In both, of the fixed pair (a, b) and the walked (c, d):
 * s = a c', dp = b d', and the results are scale ds c and p d. */
template <int DP, bool KEYS>
static __global__ void __launch_bounds__(BLOCK, KEYS && (DP == 80 || DP == 160) ? 1 : 2)
    plain_grad(const attention_sizes z, const attention_grad_tensors t)
{
    constexpr int ROWS = fixed_rows<DP>, OWN = own_rows<DP>, PITCH = f32_pitch<DP>;
    constexpr int NUMBERS = KEYS ? STEP : ROWS;
    extern __shared__ __align__(16) float space[];
    float *tile_a = space, *tile_b = tile_a + ROWS * PITCH, *tile_c = tile_b + ROWS * PITCH,
          *tile_d = tile_c + STEP * PITCH, *weights = tile_d + STEP * PITCH,
          *numbers = weights + 2 * weight_elements<DP>;
    const int tx = (int)threadIdx.x % SIDE, row = (int)threadIdx.x / SIDE * OWN;
    float *p = weights + row * STEP_PITCH, *ds = p + weight_elements<DP>;
    const int first = (int)blockIdx.x * ROWS, walked = KEYS ? z.Tq : z.Tk;
    const strip q = strip_of(z, (const float *)t.q, z.Tq),
                k = strip_of(z, (const float *)t.k, z.Tk);
    const strip v = strip_of(z, (const float *)t.v, z.Tk);
    const strip dout = strip_of(z, (const float *)t.dout, z.Tq);
    /* earlier queries see none of these keys, and these queries none of the later keys */
    const int begin = KEYS && z.causal ? first / STEP * STEP : 0;
    const int end = !KEYS && z.causal ? min(walked, first + ROWS) : walked;
    float acc_s[OWN][DP / SIDE] = {}, acc_p[OWN][DP / SIDE] = {}, scale[OWN], one[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) scale[i] = z.scale, one[i] = 1.0f;

    load_rows<ROWS, DP>(KEYS ? k : q, first, tile_a);
    load_rows<ROWS, DP>(KEYS ? v : dout, first, tile_b);
    if (!KEYS) load_numbers<NUMBERS>(z, first, t, numbers);
    for (int at = begin; at < end; at += STEP) {
        load_rows<STEP, DP>(KEYS ? q : k, at, tile_c);
        load_rows<STEP, DP>(KEYS ? dout : v, at, tile_d);
        if (KEYS) load_numbers<NUMBERS>(z, at, t, numbers);
        __syncthreads();
        float s[OWN][ACROSS], dp[OWN][ACROSS];
        dot_rows<DP>(tile_a + row * PITCH, tile_c + tx * PITCH, s);
        dot_rows<DP>(tile_b + row * PITCH, tile_d + tx * PITCH, dp);
#pragma unroll
        for (int i = 0; i < OWN; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
                const int across = tx + j * SIDE, number = KEYS ? across : row + i;
                const int fixed = first + row + i, other = at + across;
                const bool seen = is_seen(z, KEYS ? other : fixed, KEYS ? fixed : other);
                const float x = (s[i][j] * z.scale - numbers[number]) * LOG2E;
                const float weight = seen ? exp2f(x) : 0.0f;
                if (KEYS) p[i * STEP_PITCH + across] = weight;
                ds[i * STEP_PITCH + across] =
                    seen ? weight * (dp[i][j] - numbers[NUMBERS + number]) : 0.0f;
            }
        __syncwarp();
        add_steps<DP>(ds, tile_c + tx, acc_s);
        if (KEYS) add_steps<DP>(p, tile_d + tx, acc_p);
        __syncthreads(); /* before the tiles are filled again */
    }
    const int64_t head = KEYS ? k.head - (const float *)t.k : q.head - (const float *)t.q;
    store_own<DP>(acc_s, scale, KEYS ? k : q, first + row, (float *)(KEYS ? t.dk : t.dq) + head);
    if (KEYS) store_own<DP>(acc_p, one, v, first + row, (float *)t.dv + head);
}

cudaError_t launch_attention_grad_f32(const attention_sizes *z, const attention_grad_tensors *t,
                                      cudaStream_t stream)
{
    const cudaError_t error = launch_delta<float>(z, t, stream);
    if (error != cudaSuccess) return error;
    return by_width(z->width, [=](auto width) {
        constexpr int DP = decltype(width)::value;
        const cudaError_t failed = launch_flash<fixed_rows<DP>, BLOCK>(
            plain_grad<DP, true>, z, z->Tk, grad_bytes<DP>, stream, *z, *t);
        if (failed != cudaSuccess) return failed;
        return launch_flash<fixed_rows<DP>, BLOCK>(plain_grad<DP, false>, z, z->Tq, grad_bytes<DP>,
                                                   stream, *z, *t);
    });
}
