/* columns.cuh: sums over the rows of a matrix [rows,C], by tiles.
 *
 * A block of 256 threads takes a tile: 8 packs of 16 bytes of columns, and one chunk of
 * COLUMNS_CHUNK rows. Thread t takes pack t % 8 of rows t / 8, t / 8 + 32, ... of the chunk, in
 * this order. A warp reads 128 bytes of each of 4 rows at a time. Chunks depend on the number of
 * rows alone, so sums do not depend on the GPU. */
#pragma once

#include "cuda/gpu.cuh"
#include "cuda/launch.h"

static constexpr int TILE_THREADS = 256;
static constexpr int TILE_PACKS = 8, TILE_LANES = TILE_THREADS / TILE_PACKS;
static constexpr int TILE_STEPS = COLUMNS_CHUNK / TILE_LANES; /* rows of a thread */
static constexpr int TILE_WARPS = TILE_THREADS / WARP;

template <typename T> constexpr int tile_columns = TILE_PACKS *pack_width<T>;

/* The tile of block `block`: slices of columns first, then chunks, then images. */
struct tile_place {
    int64_t image, chunk;
    int first;   /* column of the tile */
    int column;  /* of this thread's pack */
    int n;       /* columns of this pack that exist; may be negative */
    int64_t row; /* of this thread, in its image */
    int64_t end; /* of the chunk */
};

template <typename T> __host__ __device__ __forceinline__ int tile_slices(int C)
{
    return (C + tile_columns<T> - 1) / tile_columns<T>;
}

template <typename T> int64_t tile_count(int64_t images, int64_t rows, int C)
{
    return images * ceil_div(rows, COLUMNS_CHUNK) * tile_slices<T>(C);
}

template <typename T> __device__ __forceinline__ tile_place find_tile(int64_t rows, int C)
{
    const unsigned slices = (unsigned)tile_slices<T>(C),
                   chunks = (unsigned)ceil_div(rows, COLUMNS_CHUNK);
    const unsigned strip = blockIdx.x / slices, slice = blockIdx.x - strip * slices;
    const unsigned image = strip / chunks, chunk = strip - image * chunks;
    tile_place at;
    at.image = image;
    at.chunk = chunk;
    at.first = (int)slice * tile_columns<T>;
    at.column = at.first + (int)(threadIdx.x % TILE_PACKS) * pack_width<T>;
    at.n = min(pack_width<T>, C - at.column);
    at.row = (int64_t)chunk * COLUMNS_CHUNK + threadIdx.x / TILE_PACKS;
    at.end = min((int64_t)(chunk + 1) * COLUMNS_CHUNK, rows);
    return at;
}

/* Room of tile_sum: a row of column sums per warp. */
template <typename T> using tile_room = float[TILE_WARPS][tile_columns<T>];

/* The sums of x over the 32 threads that have the same pack: result i for column first + i, valid
 * in threads i < tile_columns. Nobody may be reading `room` still. */
template <typename T>
__device__ __forceinline__ float tile_sum(float (&x)[pack_width<T>], tile_room<T> &room)
{
    constexpr int N = pack_width<T>;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] += __shfl_xor_sync(0xffffffffu, x[i], TILE_PACKS);
        x[i] += __shfl_xor_sync(0xffffffffu, x[i], 2 * TILE_PACKS);
    }
    if (lane < TILE_PACKS)
#pragma unroll
        for (int i = 0; i < N; i++) room[warp][lane * N + i] = x[i];
    __syncthreads();
    float sum = 0;
    if (threadIdx.x < tile_columns<T>)
#pragma unroll
        for (int i = 0; i < TILE_WARPS; i++) sum += room[i][threadIdx.x];
    return sum;
}

/* Sums of partial sums: a block of 256 threads adds `chunks` rows of 32 columns in fp64. Thread t
 * takes rows t / 32, t / 32 + 8, ... of column t % 32; then the 8 are added in order. The result is
 * valid in threads 0 .. 31. `p` points at this thread's column; `columns` is how many of the 32
 * exist. */
static constexpr int JOIN_THREADS = 256, JOIN_COLUMNS = WARP,
                     JOIN_LANES = JOIN_THREADS / JOIN_COLUMNS;

using join_room = double[JOIN_LANES][JOIN_COLUMNS];

static __device__ __forceinline__ double join_chunks(const float *p, int64_t chunks, int64_t stride,
                                                     bool exists, join_room &room)
{
    const int column = threadIdx.x % JOIN_COLUMNS, lane = threadIdx.x / JOIN_COLUMNS;
    double sum = 0;
    if (exists)
#pragma unroll 4
        for (int64_t chunk = lane; chunk < chunks; chunk += JOIN_LANES)
            sum += (double)p[chunk * stride];
    room[lane][column] = sum;
    __syncthreads();
#pragma unroll
    for (int i = 1; lane == 0 && i < JOIN_LANES; i++) sum += room[i][column];
    return sum;
}
