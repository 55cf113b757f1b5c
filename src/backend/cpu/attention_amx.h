/* attention_amx.h: tiles, and the exponential that goes with them.
 *
 * A tile of bf16 operands is 1 KiB: the left one [16 rows][32], the right one [16 pairs][16
 * columns][2]; a tile of sums is [16][16] fp32, also 1 KiB. All are packed so that a tile is
 * contiguous. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "backend/cpu/attention_internal.h"
#include "backend/cpu/transpose16.h"

#define AMX_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define AMX_INLINE static inline __attribute__((always_inline)) AMX_TARGET

enum { TILE_ROWS = 16, TILE_DEPTH = 32, TILE_BF16 = 512, TILE_F32 = 256, UNIT = 32 };

/* Instructions rather than intrinsics: those of gcc 12 do not say that they read memory. */
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t::: "memory")
#define TILE_LOAD(t, p)                                                                            \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((int64_t)64) : "memory")
#define TILE_STORE(t, p)                                                                           \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"((int64_t)64) : "memory")
/* sum += left right */
#define TILE_DOT(sum, left, right)                                                                 \
    __asm__ volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sum::: "memory")

/* Configures all tiles of this thread as 16 rows of 64 bytes; amx_end gives them up. */
void amx_begin(void);
void amx_end(void);

/* The forward pass. */
size_t amx_forward_shared(const attention_job *job);
size_t amx_forward_own(const attention_job *job);
int64_t amx_forward_tasks(const attention_job *job, int phase);
void amx_forward_run(const attention_job *job, int phase, int64_t task);

/* The gradient. */
size_t amx_gradient_shared(const attention_job *job);
size_t amx_gradient_own(const attention_job *job);
int64_t amx_gradient_tasks(const attention_job *job, int phase);
void amx_gradient_run(const attention_job *job, int phase, int64_t task);

/* factor 2^x to 7.5e-5: 2^floor(x) times the cubic minimax fit of 2^f on [0,1). */
AMX_INLINE __m512 amx_scaled_exp2(__m512 x, const double factor)
{
    const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 y = _mm512_set1_ps((float)(0.07802452147006989 * factor));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps((float)(0.2260671705007553 * factor)));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps((float)(0.6958335041999817 * factor)));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps((float)(0.9999251961708069 * factor)));
    return _mm512_scalef_ps(y, x);
}

/* 2^x (1 + d). d = 2^-8 0.7213 makes up for cutting the result to bf16 below: of a value m 2^e,
 * 1 <= m < 2, the cut takes on average half of 2^-7 2^e, which is 2^-8 / m of the value, and the
 * mean of 1/m over mantissas that are even in log m is 1/(2 log 2) = 0.7213. So the cut costs no
 * instruction for rounding and leaves no bias. */
#define AMX_CUT (1 + 0.7213 / 256)
AMX_INLINE __m512 amx_exp2(__m512 x) { return amx_scaled_exp2(x, AMX_CUT); }

/* The upper halves of two rows, lane by lane: a row of pairs of a right tile. */
AMX_INLINE __m512i amx_pair(__m512 even, __m512 odd)
{
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even), 16);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_castps_si512(odd));
}

/* 32 columns of src from `column`, zeros from d on. */
AMX_INLINE __m512i amx_load_row(const uint16_t *src, int64_t column, int64_t d)
{
    const int64_t left = d - column;
    const __mmask32 some = left >= 32 ? 0xffffffffu : left > 0 ? (1u << left) - 1 : 0;
    return _mm512_maskz_loadu_epi16(some, src + column);
}

/* 16 columns of rows y and z, side by side in words of 32 bits; zeros from `rows` and d on. */
AMX_INLINE __m512i amx_load_pair(const uint16_t *src, int64_t src_row, int64_t rows, int64_t y,
                                 int64_t z, int64_t column, int64_t d)
{
    const int64_t left = d - column;
    const __mmask16 some = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i a = y < rows ? _mm256_maskz_loadu_epi16(some, src + y * src_row + column) : zero;
    const __m256i b = z < rows ? _mm256_maskz_loadu_epi16(some, src + z * src_row + column) : zero;
    return _mm512_or_si512(_mm512_cvtepu16_epi32(a),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

/* Sums of 2 x 2 tiles over `steps` left and right operands; sizes in bytes. */
typedef struct {
    const void *left, *right;
    int64_t left_second, left_step, right_second, right_step, steps;
    void *sums;               /* tiles left 0 right 0, left 1 right 0, left 0 right 1, both 1 */
    bool add;                 /* to what is there */
    bool one_left, one_right; /* there is no second operand */
} amx_product;

void amx_multiply(const amx_product *p);

/* Packing, one head of row-major bf16 [..,width]; rows and columns past the end become zero.
 * src points to the head's first column of row `first`; d of its columns count.
 *
 * left        16 rows, `depth` tiles along the columns
 * right       transposed: 16 rows become columns, `depth` tiles of pairs of columns of src
 * left_t      transposed: 32 rows become the depth of `tiles` tiles of 16 columns of src each
 * pairs       32 rows become the depth of right tiles of 16 columns each, row i beside row i + 16
 */
void amx_pack_left(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint16_t *dst);
void amx_pack_right(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint16_t *dst);
void amx_pack_left_t(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint16_t *dst);

void amx_pack_pairs(const uint16_t *src, int64_t src_row, int64_t rows, int64_t d, uint16_t *dst);

/* bf16 rows of an output from tiles of sums [tiles][..][16 columns of the output][16 rows of it]:
 * dst row i, column 16 t + j = factor[i] sums[t step + 16 j + i], rounded to nearest. */
void amx_store_rows(const float *sums, int64_t step, const float *factor, int64_t rows, int64_t d,
                    uint16_t *dst, int64_t dst_row);

/* The same from a tile [rows of the output][columns of it] and one factor. */
void amx_store_tile(const float *sums, float factor, int64_t rows, int64_t columns, uint16_t *dst,
                    int64_t dst_row);

void amx_transpose_tile(float *sums);
