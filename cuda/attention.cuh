/* attention.cuh: what the flash kernels share. Blocks of 4 warps; a warp owns 16 rows of a fixed
 * tile of 64 and keeps all it computes about them in registers, in the c fragments of ptx.cuh: lane
 * (g, t) has rows g and g + 8. Heads are columns of [B,T,C]; in shared memory their width is padded
 * with zeros to DP, a multiple of 16, and a row takes DP + 8 elements: an odd number of 16-byte
 * pieces, so the 8 rows that ldmatrix reads at a time lie in different banks. */
#pragma once

#include "cuda/launch.h"
#include "cuda/ptx.cuh"

static constexpr int FIXED = 64; /* rows of the fixed tile */
static constexpr int THREADS = 128, PIECE = 8;
static constexpr float LOG2E = 1.44269504088896340736f;

template <int DP> constexpr int pitch = DP + 8;

/* The rows of one image's and head's tensor. */
template <typename T> struct strip {
    const T *head;  /* its first row and column */
    int64_t stride; /* between rows */
    int rows, width;
};

template <typename T>
static __device__ __forceinline__ strip<T> strip_of(const attention_sizes &z, const T *x, int rows)
{
    const int image = (int)blockIdx.y / z.heads, head = (int)blockIdx.y % z.heads;
    const int64_t C = (int64_t)z.heads * z.width;
    return {x + (int64_t)image * rows * C + head * z.width, C, rows, z.width};
}

static __device__ __forceinline__ bool is_seen(const attention_sizes &z, int query, int key)
{
    return query < z.Tq && key < z.Tk && (!z.causal || key <= query);
}

/* delta [B,heads,Tq] = rowsum(do o) over the columns of a head: a warp has a row and head. */
template <typename T>
static __global__ void __launch_bounds__(256)
    find_delta(const attention_sizes z, const T *__restrict__ o, const T *__restrict__ dout,
               float *__restrict__ delta)
{
    const int64_t index = (int64_t)blockIdx.x * 8 + threadIdx.x / WARP; /* (image, row, head) */
    if (index >= (int64_t)z.B * z.Tq * z.heads) return;
    const int64_t row = index / z.heads, image = row / z.Tq;
    const int head = (int)(index - row * z.heads), lane = (int)threadIdx.x % WARP;
    float sum = 0.0f;
    for (int c = lane; c < z.width; c += WARP)
        sum += to_float(o[index * z.width + c]) * to_float(dout[index * z.width + c]);
    sum = warp_sum(sum);
    if (lane == 0) delta[(image * z.heads + head) * z.Tq + row - image * z.Tq] = sum;
}

template <typename T>
static cudaError_t launch_delta(const attention_sizes *z, const attention_grad_tensors *t,
                                cudaStream_t stream)
{
    const int64_t rows = (int64_t)z->B * z->Tq * z->heads;
    return launch(find_delta<T>, ceil_div(rows, 8), 256, 0, stream, *z, (const T *)t->o,
                  (const T *)t->dout, t->delta);
}

/* Starts copying ROWS rows from `first` to `tile`; what lies outside of the strip becomes 0. Widths
 * that are no multiple of 8 have unaligned rows: copied element by element, at once. */
template <int ROWS, int DP>
static __device__ __forceinline__ void load_strip(const strip<bf16> &s, int first, bf16 *tile)
{
    constexpr int ACROSS = DP / PIECE;
    for (int i = (int)threadIdx.x; i < ROWS * ACROSS; i += THREADS) {
        const int r = i / ACROSS, c = i % ACROSS * PIECE;
        const bool present = first + r < s.rows && c < s.width;
        const bf16 *from = present ? s.head + (first + r) * s.stride + c : s.head;
        bf16 *to = tile + r * pitch<DP> + c;
        if (s.width % PIECE == 0) {
            copy_16(to, from, present);
        } else {
            bf16 part[PIECE];
            load_raw<PIECE>(from, present ? s.width - c : 0, part);
            store_raw<PIECE>(part, PIECE, to);
        }
    }
}

/* acc [16 x COLUMNS] = a [16 x DP] b', b [COLUMNS x DP]; columns of a in ascending order. */
template <int COLUMNS, int DP>
static __device__ __forceinline__ void multiply_rows(const bf16 *a, const bf16 *b, int lane,
                                                     float (&acc)[COLUMNS / 8][4])
{
#pragma unroll
    for (int j = 0; j < COLUMNS / 8; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) acc[j][e] = 0.0f;
#pragma unroll(DP > 128 ? 2 : DP / 16) /* wider: registers are short */
    for (int k = 0; k < DP; k += 16) {
        uint32_t left[4];
        load_tiles(left, a + lane % 16 * pitch<DP> + k + lane / 16 * 8);
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j++) {
            uint32_t right[4];
            load_tiles(right,
                       b + (j * 16 + lane % 8 + lane / 16 * 8) * pitch<DP> + k + lane / 8 % 2 * 8);
            multiply(acc[2 * j], left, right[0], right[1]);
            multiply(acc[2 * j + 1], left, right[2], right[3]);
        }
    }
}

/* acc [16 x DP] += p [16 x ROWS], rounded to bf16, times b [ROWS x DP]; rows in ascending order. */
template <int ROWS, int DP>
static __device__ __forceinline__ void add_weighted(const float (&p)[ROWS / 8][4], const bf16 *b,
                                                    int lane, float (&acc)[DP / 8][4])
{
#pragma unroll
    for (int k = 0; k < ROWS / 16; k++) {
        uint32_t left[4];
        pack_a(left, p[2 * k], p[2 * k + 1]);
#pragma unroll
        for (int j = 0; j < DP / 16; j++) {
            uint32_t right[4];
            load_tiles_turned(right, b + (k * 16 + lane % 16) * pitch<DP> + j * 16 + lane / 16 * 8);
            multiply(acc[2 * j], left, right[0], right[1]);
            multiply(acc[2 * j + 1], left, right[2], right[3]);
        }
    }
}

/* Writes acc, its rows times `factor`, to rows first.. of `to`, laid out as s; the warp's 16 rows
 * of a tile that only this warp still reads serve to write pieces of 16 bytes. */
template <int DP>
static __device__ __forceinline__ void
store_rows(const float (&acc)[DP / 8][4], const float (&factor)[2], bf16 *room,
           const strip<bf16> &s, int first, int lane, bf16 *to)
{
    constexpr int ACROSS = DP / PIECE;
    __syncwarp();
#pragma unroll
    for (int j = 0; j < DP / 8; j++)
#pragma unroll
        for (int h = 0; h < 2; h++)
            *(uint32_t *)(room + (lane / 4 + 8 * h) * pitch<DP> + j * 8 + lane % 4 * 2) =
                pack_bf16(acc[j][2 * h] * factor[h], acc[j][2 * h + 1] * factor[h]);
    __syncwarp();
    for (int i = lane; i < 16 * ACROSS; i += WARP) {
        const int r = i / ACROSS, c = i % ACROSS * PIECE;
        if (first + r >= s.rows || c >= s.width) continue;
        bf16 part[PIECE];
        load_raw<PIECE>(room + r * pitch<DP> + c, PIECE, part);
        store_raw<PIECE>(part, s.width - c, to + (first + r) * s.stride + c);
    }
}

/* f(padded<DP>()) for the least DP that holds `width`, at most ATTENTION_FLASH_WIDTH. */
template <int DP> struct padded {
    static constexpr int value = DP;
};
template <typename F> static cudaError_t by_width(int width, F f)
{
    if (width <= 48) return f(padded<48>());
    if (width <= 64) return f(padded<64>());
    if (width <= 80) return f(padded<80>());
    if (width <= 128) return f(padded<128>());
    return f(padded<160>());
}

/* Allows the kernel `shared` bytes and starts it with one block per TILE rows and head. */
template <int TILE = FIXED, int BLOCK = THREADS, typename... P, typename... A>
static cudaError_t launch_flash(void (*kernel)(P...), const attention_sizes *z, int rows,
                                size_t shared, cudaStream_t stream, A... arguments)
{
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (error != cudaSuccess) return error;
    const dim3 grid((unsigned)ceil_div(rows, TILE), (unsigned)(z->B * z->heads));
    kernel<<<grid, BLOCK, shared, stream>>>(arguments...);
    return cudaGetLastError();
}
