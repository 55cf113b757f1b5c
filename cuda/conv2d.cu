/* conv2d.cu: conv2d and its gradient in x, bf16, as products with the matrix G of conv2d.cuh.
 *
 * `implicit` (I a multiple of 8) never writes G: a tile of BM x 32 of it is gathered into
 * shared memory by pieces of 16 bytes, which lie in one pixel as 8 divides I, beside BN x 32 of w;
 * 4 such stages are under way at a time (cp.async). Each warp owns 32 columns and BM / (warps / (BN
 * / 32)) rows of the tile of y, in mma tiles of 16 x 8. Every element is one fp32 sum, k ascending
 * by 16, in one thread: its bits do not depend on the tile. The tile of y, with b added and
 * rounded, goes through shared memory so that it is written in pieces of 16 bytes.
 *
 * A row of 32 columns takes 64 bytes of shared memory; its pieces 0..3 are stored at c ^ (row / 2 %
 * 4), so that the 8 rows which ldmatrix reads at a time, and what 8 lanes write, lie in different
 * banks. */
#include "cuda/conv2d.cuh"
#include "cuda/ptx.cuh"

static constexpr int BK = 32, STAGES = 4, PIECE = 8; /* elements */
static constexpr int PIECES = BK / PIECE;

/* Where in a stage piece `piece` of row `row` is. */
static __device__ __forceinline__ int place(int row, int piece)
{
    return row * BK + (piece ^ (row / 2 % PIECES)) * PIECE;
}

/* The shape of a block: warps of 32 columns, ROWS rows each. */
template <int BM, int BN, int THREADS> struct block_shape {
    static constexpr int ACROSS = BN / 32, DOWN = THREADS / WARP / ACROSS, ROWS = BM / DOWN;
    static constexpr int STAGE = (BM + BN) * BK; /* elements */
    static constexpr int PITCH = BN + 8;         /* of the tile of y */
    static constexpr size_t SHARED =
        sizeof(bf16) * (STAGES * STAGE > BM * PITCH ? STAGES * STAGE : BM * PITCH);
};

/* What a thread copies of each stage: piece `piece` of every LOADS-th row. */
template <int BM, int BN, int THREADS> struct tile_reader {
    static constexpr int LOADS = THREADS / PIECES; /* rows that a block copies at a time */
    corner corners[BM / LOADS];
    column at;
    int next, row, piece; /* next: `at` as a number */

    __device__ __forceinline__ void begin(const conv2d_sizes &z, int64_t m0)
    {
        row = (int)threadIdx.x / PIECES;
        piece = (int)threadIdx.x % PIECES;
#pragma unroll
        for (int i = 0; i < BM / LOADS; i++) corners[i] = corner_of(z, m0 + row + i * LOADS);
        next = piece * PIECE;
        at = {0, 0, next};
        at.settle(z);
    }

    /* Starts the copies of the next 32 columns. */
    __device__ __forceinline__ void load(const conv2d_sizes &z, const bf16 *__restrict__ x,
                                         const bf16 *__restrict__ w, int n0, bf16 *to)
    {
        const int K = z.kh * z.kw * z.I;
#pragma unroll
        for (int i = 0; i < BM / LOADS; i++) {
            const int64_t pixel = next < K ? pixel_under(z, corners[i], at.r, at.s) : -1;
            copy_16(to + place(row + i * LOADS, piece), pixel < 0 ? x : x + pixel * z.I + at.i,
                    pixel >= 0);
        }
#pragma unroll
        for (int i = 0; i < BN / LOADS; i++) {
            const int n = n0 + row + i * LOADS;
            const bool present = next < K && n < z.O;
            copy_16(to + BM * BK + place(row + i * LOADS, piece),
                    present ? w + (int64_t)n * K + next : w, present);
        }
        next += BK;
        at.i += BK;
        at.settle(z);
    }
};

/* One stage: acc += the tile of G times the tile of w'. */
template <int ROWS>
static __device__ __forceinline__ void multiply_stage(const bf16 *g, const bf16 *w, int lane,
                                                      float (&acc)[ROWS / 16][4][4])
{
#pragma unroll
    for (int k = 0; k < BK / 16; k++) {
        uint32_t a[ROWS / 16][4], b[2][4];
#pragma unroll
        for (int i = 0; i < ROWS / 16; i++) /* tiles: rows 0..7, 8..15, then the columns at 8 */
            load_tiles(a[i], g + place(i * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
        for (int j = 0; j < 2; j++) /* tiles: w rows 0..7 at k 0 and 8, then rows 8..15 */
            load_tiles(b[j], w + place(j * 16 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
#pragma unroll
        for (int i = 0; i < ROWS / 16; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                multiply(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
}

/* Adds the bias to a warp's part of the tile and leaves it, rounded, in `tile`. */
template <int ROWS, int PITCH>
static __device__ __forceinline__ void leave(const float (&acc)[ROWS / 16][4][4], const bf16 *bias,
                                             int columns, int lane, bf16 *tile)
{
    const int t = lane % 4 * 2, g = lane / 4;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const int n = j * 8 + t;
        const float low = bias && n < columns ? to_float(bias[n]) : 0.0f;
        const float high = bias && n + 1 < columns ? to_float(bias[n + 1]) : 0.0f;
#pragma unroll
        for (int i = 0; i < ROWS / 16; i++) {
            const float(&c)[4] = acc[i][j];
            *(uint32_t *)(tile + (i * 16 + g) * PITCH + n) = pack_bf16(c[0] + low, c[1] + high);
            *(uint32_t *)(tile + (i * 16 + g + 8) * PITCH + n) = pack_bf16(c[2] + low, c[3] + high);
        }
    }
}

/* Writes the tile of y that the warps left, by pieces. */
template <int BM, int BN, int THREADS>
static __device__ __forceinline__ void write_tile(const bf16 *tile, int64_t m0, int64_t M, int n0,
                                                  int O, bf16 *__restrict__ y)
{
    for (int i = (int)threadIdx.x; i < BM * BN / PIECE; i += THREADS) {
        const int r = i / (BN / PIECE), n = i % (BN / PIECE) * PIECE;
        if (m0 + r >= M || n0 + n >= O) continue;
        bf16 part[PIECE];
        load_raw<PIECE>(tile + r * block_shape<BM, BN, THREADS>::PITCH + n, PIECE, part);
        store_raw<PIECE>(part, O - n0 - n, y + (m0 + r) * O + n0 + n);
    }
}

template <int BM, int BN, int THREADS>
static __global__ void __launch_bounds__(THREADS, 2)
    implicit(const conv2d_sizes z, const bf16 *__restrict__ x, const bf16 *__restrict__ w,
             const bf16 *__restrict__ bias, bf16 *__restrict__ y)
{
    using shape = block_shape<BM, BN, THREADS>;
    extern __shared__ __align__(16) bf16 shared[];
    const int thread = (int)threadIdx.x, lane = thread % WARP, warp = thread / WARP;
    const int64_t m0 = (int64_t)blockIdx.x * BM, M = z.N * z.P * z.Q;
    const int n0 = (int)blockIdx.y * BN, K = z.kh * z.kw * z.I;
    tile_reader<BM, BN, THREADS> reader;
    reader.begin(z, m0);
    const auto load = [&](int stage) { reader.load(z, x, w, n0, shared + stage * shape::STAGE); };
    float acc[shape::ROWS / 16][4][4] = {};
    const int first_row = warp / shape::ACROSS * shape::ROWS,
              first_column = warp % shape::ACROSS * 32;
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        load(stage);
        copy_commit();
    }
    const int steps = (K + BK - 1) / BK;
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>(); /* the oldest stage is there, */
        __syncthreads();         /* for all, and nobody reads the one before it any more */
        if (step + STAGES - 1 < steps) load((step + STAGES - 1) % STAGES);
        copy_commit(); /* an empty group at the end: the count stays */
        const bf16 *stage = shared + step % STAGES * shape::STAGE;
        multiply_stage<shape::ROWS>(stage + first_row * BK, stage + (BM + first_column) * BK, lane,
                                    acc);
    }
    copy_wait<0>();
    __syncthreads();
    leave<shape::ROWS, shape::PITCH>(acc, bias ? bias + n0 + first_column : nullptr,
                                     z.O - n0 - first_column, lane,
                                     shared + first_row * shape::PITCH + first_column);
    __syncthreads();
    write_tile<BM, BN, THREADS>(shared, m0, M, n0, z.O, y);
}

/* Rows first .. first + rows of G, `pitch` elements each (zeros beyond K): one thread a pack of N,
 * which divides I. */
template <int N>
static __global__ void __launch_bounds__(256)
    gather(const conv2d_sizes z, const bf16 *__restrict__ x, int64_t first, int64_t rows, int pitch,
           bf16 *__restrict__ to)
{
    const pack_place at = find_pack<N>(blockIdx.x * 256 + threadIdx.x, pitch);
    if (at.row >= rows) return;
    const int tap = at.column / z.I, i = at.column - tap * z.I;
    const corner c = corner_of(z, first + at.row);
    const int64_t pixel = tap < z.kh * z.kw ? pixel_under(z, c, tap / z.kw, tap % z.kw) : -1;
    bf16 pack[N];
    load_raw<N>(x + pixel * z.I + i, pixel < 0 ? 0 : N, pack);
    store_raw<N>(pack, N, to + at.row * pitch + at.column);
}

template <int BM, int BN, int THREADS>
static cudaError_t start(const conv2d_sizes *z, const void *x, const void *w, const void *bias,
                         void *y, cudaStream_t stream)
{
    constexpr size_t shared = block_shape<BM, BN, THREADS>::SHARED;
    const int64_t M = z->N * z->P * z->Q;
    const cudaError_t error = cudaFuncSetAttribute(
        implicit<BM, BN, THREADS>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (error != cudaSuccess) return error;
    const dim3 grid((unsigned)ceil_div(M, BM), (unsigned)ceil_div(z->O, BN));
    implicit<BM, BN, THREADS><<<grid, THREADS, shared, stream>>>(
        *z, (const bf16 *)x, (const bf16 *)w, (const bf16 *)bias, (bf16 *)y);
    return cudaGetLastError();
}

cudaError_t launch_conv2d(const conv2d_sizes *z, const void *x, const void *w, const void *bias,
                          void *y, cudaStream_t stream)
{
    /* Few pixels: smaller tiles, so that more multiprocessors have one. */
    const int64_t tiles = ceil_div(z->N * z->P * z->Q, 128) * ceil_div(z->O, 128);
    return tiles < CONV2D_FEW_TILES ? start<64, 64, 128>(z, x, w, bias, y, stream)
                                    : start<128, 128, 256>(z, x, w, bias, y, stream);
}

cudaError_t launch_conv2d_gather(const conv2d_sizes *z, const void *x, int64_t first, int64_t rows,
                                 int pitch, void *to, cudaStream_t stream)
{
    const bf16 *from = (const bf16 *)x;
    if (z->I % 4 == 0)
        return launch_packs<4>(gather<4>, rows, pitch, 256, stream, *z, from, first, rows, pitch,
                               (bf16 *)to);
    return launch_packs<1>(gather<1>, rows, pitch, 256, stream, *z, from, first, rows, pitch,
                           (bf16 *)to);
}
