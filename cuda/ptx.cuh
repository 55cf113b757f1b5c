/* ptx.cuh: the only inline PTX of the project: copies that do not wait (cp.async), 8 x 8 tiles of
 * shared memory to registers (ldmatrix), and the product of bf16 tiles (mma.sync). PTX ISA 8.0,
 * "Data Movement" and "Warp Level Matrix Instructions"; sm_80 and newer.
 *
 * Fragments, by lane; g = lane / 4, t = lane % 4. A word holds two bf16, the lower column (of a),
 * the lower row (of b) in its lower half.
 *
 *     a [16 x 16]: words (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8): row, first column
 *     b [16 x 8]:  words (2t, g), (2t + 8, g): first row, column
 *     c [16 x 8]:  fp32 (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
 *
 * So two neighbouring c tiles [16 x 8], rounded to bf16, are one a tile [16 x 16]: see pack_a. */
#pragma once

#include <stdint.h>

#include "cuda/gpu.cuh"

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* Copies 16 bytes from global to shared memory, both aligned to 16, or writes zeros if `present` is
 * false; `from` must be a valid pointer then as well. Part of the group that copy_commit closes. */
static __device__ __forceinline__ void copy_16(void *to, const void *from, bool present)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)),
                 "l"(from), "r"(present ? 16 : 0)
                 : "memory");
}

/* The same with an element of 4 bytes. */
static __device__ __forceinline__ void copy_4(void *to, const void *from, bool present)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)),
                 "l"(from), "r"(present ? 4 : 0)
                 : "memory");
}

static __device__ __forceinline__ void copy_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Waits until at most PENDING of this thread's groups are under way. Others see what it copied
 * after a barrier. */
template <int PENDING> static __device__ __forceinline__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(PENDING) : "memory");
}

/* Four 8 x 8 tiles of bf16. Lane 8 i + r gives the address of row r of tile i, 16 bytes; lane l
 * gets from each tile columns 2 (l % 4) and + 1 of row l / 4. */
static __device__ __forceinline__ void load_tiles(uint32_t (&tile)[4], const bf16 *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(tile[0]), "=r"(tile[1]), "=r"(tile[2]), "=r"(tile[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* The same tiles, each transposed: rows 2 (l % 4) and + 1 of column l / 4. */
static __device__ __forceinline__ void load_tiles_turned(uint32_t (&tile)[4], const bf16 *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(tile[0]), "=r"(tile[1]), "=r"(tile[2]), "=r"(tile[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* c [16 x 8] += a [16 x 16] b [16 x 8], b given by its two words. */
static __device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                                uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
}

/* The a fragment of c tiles of columns 0..7 and 8..15, rounded to bf16. */
static __device__ __forceinline__ void pack_a(uint32_t (&a)[4], const float (&left)[4],
                                              const float (&right)[4])
{
    a[0] = pack_bf16(left[0], left[1]);
    a[1] = pack_bf16(left[2], left[3]);
    a[2] = pack_bf16(right[0], right[1]);
    a[3] = pack_bf16(right[2], right[3]);
}
