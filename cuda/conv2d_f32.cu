/* conv2d_f32.cu: conv2d and its gradient in x, fp32, as products with the matrix G of conv2d.cuh,
 * without tensor cores, which would round to TF32. Any channels, strides and paddings.
 *
 * G is never written. A block makes a tile of BM x BN of y: BM x 8 of G are gathered into shared
 * memory element by element, beside 8 x BN of w; 4 such stages are under way at a time (cp.async).
 * Each thread owns 8 x 8 elements of the tile, each one fp32 sum, k ascending. Few tiles: K is cut
 * into parts, each with blocks of its own, whose sums `join_parts` adds in order. The parts follow
 * from the sizes alone, so the bits depend neither on the tile nor on the GPU.
 *
 * Both tiles lie with k as their slow axis. A warp owns 64 rows and 32 columns, a thread of it 4
 * neighbouring places of each 32 rows, and 4 of each 16 columns. Places hold rows so that the 8
 * threads with equal columns write 8 neighbouring rows of y at a time (row_at). 8 threads
 * copy the 8 columns of one row of G, a warp 4 neighbouring places: with 4 words beside each column
 * of the tile of G they lie in different banks. */
#include "cuda/conv2d.cuh"
#include "cuda/ptx.cuh"

static constexpr int BK = 8, STAGES = 4, OWN = 8, PACK = 4;
static constexpr int WARP_ROWS = 64, WARP_COLUMNS = 32; /* of the tile */

struct part_sizes {
    conv2d_sizes z;
    int pitch; /* of w */
    int steps; /* of 8 columns of G, per part */
    int parts;
};

template <int BM, int BN> struct block_shape {
    static constexpr int THREADS = BM * BN / (OWN * OWN);
    static constexpr int ACROSS = BN / WARP_COLUMNS;
    static constexpr int PITCH = BM + PACK;
    static constexpr int STAGE = BK * (PITCH + BN); /* elements */
};

/* Which row of a tile of G is at a place of each of its columns. */
static __device__ __forceinline__ int row_at(int place)
{
    return place / 32 * 32 + place % 4 * 8 + place % 32 / 4;
}

/* What a thread copies of each stage: element thread % 8 of some rows of G, and pieces of w. */
template <int BM, int BN> struct tile_reader {
    using shape = block_shape<BM, BN>;
    static constexpr int LOADS = shape::THREADS / BK; /* rows that a block copies at a time */
    static constexpr int PIECES = BN / PACK;          /* of a row of w */
    const float *pixel[BM / LOADS];                   /* under the tap; NULL: zeros */
    column at;
    int step;

    __device__ __forceinline__ void find(const conv2d_sizes &z, const float *x,
                                         const corner *corners)
    {
#pragma unroll
        for (int j = 0; j < BM / LOADS; j++) {
            const int place = (int)threadIdx.x / BK + j * LOADS;
            const int64_t n = at.r < z.kh ? pixel_under(z, corners[place], at.r, at.s) : -1;
            pixel[j] = n < 0 ? nullptr : x + n * z.I;
        }
    }

    __device__ __forceinline__ void begin(const conv2d_sizes &z, const float *x,
                                          const corner *corners, int first)
    {
        const int k = first * BK + (int)threadIdx.x % BK, tap = k / z.I;
        step = first;
        at = {tap / z.kw, tap % z.kw, k - tap * z.I};
        find(z, x, corners);
    }

    /* Starts the copies of the next 8 columns. */
    __device__ __forceinline__ void load(const part_sizes &u, const float *x, const corner *corners,
                                         const float *w, int n0, float *to)
    {
        const conv2d_sizes &z = u.z;
        const int K = z.kh * z.kw * z.I, thread = (int)threadIdx.x;
#pragma unroll
        for (int j = 0; j < BM / LOADS; j++)
            copy_4(to + thread % BK * shape::PITCH + thread / BK + j * LOADS,
                   pixel[j] ? pixel[j] + at.i : x, pixel[j] != nullptr);
#pragma unroll
        for (int j = 0; j < BK * PIECES / shape::THREADS; j++) {
            const int piece = thread + j * shape::THREADS, row = piece / PIECES,
                      k = step * BK + row, n = n0 + piece % PIECES * PACK;
            const bool present = k < K && n < u.pitch;
            copy_16(to + BK * shape::PITCH + piece * PACK,
                    present ? w + (int64_t)k * u.pitch + n : w, present);
        }
        step++;
        at.i += BK;
        if (at.i < z.I) return;
        at.settle(z);
        find(z, x, corners);
    }
};

/* One stage: acc += the tile of G times the tile of w. */
template <int BM, int BN>
static __device__ __forceinline__ void multiply_stage(const float *g, const float *w,
                                                      float (&acc)[OWN][OWN])
{
#pragma unroll
    for (int k = 0; k < BK; k++) {
        float a[OWN], b[OWN];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            *(float4 *)(a + half * PACK) =
                *(const float4 *)(g + k * block_shape<BM, BN>::PITCH + half * WARP_ROWS / 2);
            *(float4 *)(b + half * PACK) = *(const float4 *)(w + k * BN + half * WARP_COLUMNS / 2);
        }
#pragma unroll
        for (int i = 0; i < OWN; i++)
#pragma unroll
            for (int j = 0; j < OWN; j++) acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
    }
}

/* Writes what a thread owns, `rows` and `columns` of which exist from its first on; y is there. */
static __device__ __forceinline__ void write_own(const float (&acc)[OWN][OWN], const float *bias,
                                                 int64_t rows, int columns, int O, float *y)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int n = half * WARP_COLUMNS / 2;
        float b[PACK];
        load_raw<PACK>(bias + n, bias ? columns - n : 0, b);
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int row = row_at(i % PACK) + i / PACK * WARP_ROWS / 2;
            float sum[PACK];
#pragma unroll
            for (int j = 0; j < PACK; j++) sum[j] = acc[i][half * PACK + j] + b[j];
            if (row < rows) store_raw<PACK>(sum, columns - n, y + (int64_t)row * O + n);
        }
    }
}

template <int BM, int BN>
static __global__ void __launch_bounds__(block_shape<BM, BN>::THREADS,
                                         512 / block_shape<BM, BN>::THREADS)
    implicit_f32(const part_sizes u, const float *__restrict__ x, const float *__restrict__ w,
                 const float *__restrict__ bias, float *__restrict__ y)
{
    using shape = block_shape<BM, BN>;
    __shared__ __align__(16) float shared[STAGES * shape::STAGE];
    __shared__ corner corners[BM];
    const conv2d_sizes &z = u.z;
    const int thread = (int)threadIdx.x, lane = thread % WARP, warp = thread / WARP;
    const int64_t m0 = (int64_t)blockIdx.x * BM, M = z.N * z.P * z.Q;
    const int n0 = (int)blockIdx.y * BN, K = z.kh * z.kw * z.I, part = (int)blockIdx.z;
    const int first = part * u.steps, last = min(first + u.steps, (K + BK - 1) / BK);
    for (int i = thread; i < BM; i += shape::THREADS) corners[i] = corner_of(z, m0 + row_at(i));
    __syncthreads();
    tile_reader<BM, BN> reader;
    reader.begin(z, x, corners, first);
    const auto load = [&](int stage) {
        reader.load(u, x, corners, w, n0, shared + stage * shape::STAGE);
    };
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        if (first + stage < last) load(stage);
        copy_commit();
    }
    const int first_row = warp / shape::ACROSS * WARP_ROWS,
              first_column = warp % shape::ACROSS * WARP_COLUMNS;
    const bool idle = m0 + first_row >= M || n0 + first_column >= z.O;
    const int own_row = first_row + lane / 4 * PACK, own_column = first_column + lane % 4 * PACK;
    float acc[OWN][OWN] = {};
    for (int step = 0; step < last - first; step++) {
        copy_wait<STAGES - 2>(); /* the oldest stage is there, */
        __syncthreads();         /* for all, and nobody reads the one before it any more */
        if (first + step + STAGES - 1 < last) load((step + STAGES - 1) % STAGES);
        copy_commit(); /* an empty group at the end: the count stays */
        const float *stage = shared + step % STAGES * shape::STAGE;
        if (!idle)
            multiply_stage<BM, BN>(stage + own_row, stage + BK * shape::PITCH + own_column, acc);
    }
    const int64_t m = m0 + first_row + lane / 4;
    const int n = n0 + own_column;
    if (!idle)
        write_own(acc, bias ? bias + n : nullptr, M - m, z.O - n, z.O,
                  y + (part * M + m) * z.O + n);
}

/* y = the parts, in order, + bias: a thread a pack of 4. */
static __global__ void __launch_bounds__(256)
    join_parts(const float *__restrict__ parts, int count, int64_t M, int O,
               const float *__restrict__ bias, float *__restrict__ y)
{
    const pack_place at = find_pack<PACK>(blockIdx.x * 256 + threadIdx.x, O);
    if (at.row >= M) return;
    const int64_t place = at.row * O + at.column;
    float sum[PACK] = {}, x[PACK];
    for (int part = 0; part < count; part++) {
        load_raw<PACK>(parts + part * M * O + place, at.n, x);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum[i] += x[i];
    }
    load_raw<PACK>(bias + at.column, bias ? at.n : 0, x);
#pragma unroll
    for (int i = 0; i < PACK; i++) sum[i] += x[i];
    store_raw<PACK>(sum, at.n, y + place);
}

/* Narrow tiles if there would be few wide ones, or if the last 128 columns would be half empty (320
 * channels). */
static dim3 tile_of(const conv2d_sizes *z)
{
    constexpr int64_t FEW_TILES = 200;
    const int64_t M = z->N * z->P * z->Q;
    const bool narrow = (z->O - 1) % 128 < 64 || ceil_div(M, 128) * ceil_div(z->O, 128) < FEW_TILES;
    return M <= 64 ? dim3(64, 64) : dim3(128, narrow ? 64 : 128);
}

/* So many that 320 * 256 threads have work, 5 warps for each of the 4 schedulers of a
 * multiprocessor, but none of less than 256 columns of G, and not just two: joining them costs a
 * launch. */
static part_sizes parts_of(const conv2d_sizes *z)
{
    constexpr int64_t ENOUGH = 320 * 256, LEAST_STEPS = 256 / BK, LEAST_PARTS = 3;
    const dim3 tile = tile_of(z);
    const int64_t tiles = ceil_div(z->N * z->P * z->Q, tile.x) * ceil_div(z->O, tile.y);
    const int64_t threads = tiles * tile.x * tile.y / (OWN * OWN);
    const int64_t steps = ceil_div((int64_t)z->kh * z->kw * z->I, BK);
    const int64_t parts = min(ENOUGH / threads, steps / LEAST_STEPS);
    const int64_t each = parts < LEAST_PARTS ? steps : ceil_div(steps, parts);
    return {*z, (int)conv2d_f32_pitch(z->O), (int)each, (int)ceil_div(steps, each)};
}

int conv2d_f32_parts(const conv2d_sizes *z) { return parts_of(z).parts; }

template <int BM, int BN>
static cudaError_t start(const part_sizes &u, const float *x, const float *w, const float *bias,
                         float *y, cudaStream_t stream)
{
    const conv2d_sizes &z = u.z;
    const dim3 grid((unsigned)ceil_div(z.N * z.P * z.Q, BM), (unsigned)ceil_div(z.O, BN),
                    (unsigned)u.parts);
    implicit_f32<BM, BN><<<grid, block_shape<BM, BN>::THREADS, 0, stream>>>(u, x, w, bias, y);
    return cudaGetLastError();
}

cudaError_t launch_conv2d_f32(const conv2d_sizes *z, const float *x, const float *w,
                              const float *bias, float *parts, float *y, cudaStream_t stream)
{
    const part_sizes u = parts_of(z);
    const dim3 tile = tile_of(z);
    const bool whole = u.parts == 1;
    const int64_t M = z->N * z->P * z->Q;
    float *to = whole ? y : parts;
    const float *b = whole ? bias : nullptr;
    const cudaError_t e = tile.x == 64   ? start<64, 64>(u, x, w, b, to, stream)
                          : tile.y == 64 ? start<128, 64>(u, x, w, b, to, stream)
                                         : start<128, 128>(u, x, w, b, to, stream);
    if (e != cudaSuccess || whole) return e;
    return launch_packs<PACK>(join_parts, M, z->O, 256, stream, parts, u.parts, M, z->O, bias, y);
}
