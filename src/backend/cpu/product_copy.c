#include "backend/cpu/product_copy.h"

#include <string.h>

#include "backend/cpu/simd.h"

#if defined(__x86_64__)
#include "backend/cpu/transpose16.h"
#endif

struct product_copies {
    void (*rows)(const void *from, int64_t from_row, int64_t depth, int64_t columns, float *to,
                 int64_t width);
};
#define SIMD_BODY "backend/cpu/product_copy_loops.h"
#include "backend/cpu/simd_variants.h"
SIMD_SELECT(product_copies)

/* One square of words: to[k][n] = from[n][k]. Strides are in bytes and in words. The source holds
 * words, or bf16 halves that become floats. */
typedef void turn_square(const char *from, bool halves, int64_t from_row, float *to,
                         int64_t to_row);

/* to[k][n] = from[n][k] for 32 n and 16 k, bf16. */
typedef void turn_block(const uint16_t *from, int64_t from_row, uint16_t *to, int64_t to_row);

struct product_turns {
    turn_square *square; /* NULL: word by word */
    int64_t size;        /* of the square */
    turn_block *block;   /* NULL: half by half */
};

/* Two elements that follow each other along k, as a word. */
static float pair(uint16_t first, uint16_t second)
{
    const uint32_t word = (uint32_t)first | (uint32_t)second << 16;
    float f;
    memcpy(&f, &word, sizeof f);
    return f;
}

static void pair_rows(const uint16_t *x, int64_t from_row, int64_t depth, int64_t columns,
                      float *to, int64_t width)
{
    for (int64_t k = 0; k < depth; k += 2, x += 2 * from_row, to += width) {
        const uint16_t *second = k + 1 < depth ? x + from_row : NULL;
        uint32_t *word = (uint32_t *)to;
        if (second)
            for (int64_t n = 0; n < columns; n++)
                word[n] = (uint32_t)x[n] | (uint32_t)second[n] << 16;
        else
            for (int64_t n = 0; n < columns; n++)
                word[n] = x[n]; /* NOLINT(clang-analyzer-core.NullDereference): rows exist */
        for (int64_t n = columns; n < width; n++) word[n] = 0;
    }
}

void product_copy_rows(const product_copier *by, const void *from, int64_t from_row, int64_t depth,
                       int64_t columns, float *to, int64_t width)
{
    if (by->pairs && by->dtype == SODA_BF16)
        pair_rows(from, from_row, depth, columns, to, width);
    else
        by->loops->rows(from, from_row, depth, columns, to, width);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw"))) static void
turn_avx512(const char *from, bool halves, int64_t from_row, float *to, int64_t to_row)
{
    __m512i r[16];
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) {
        const char *x = from + n * from_row;
        r[n] = halves ? _mm512_slli_epi32(
                            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16)
                      : _mm512_loadu_si512(x);
    }
    transpose16(r);
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) _mm512_storeu_si512(to + k * to_row, r[k]);
}

__attribute__((target("avx2"))) static void turn_avx2(const char *from, bool halves,
                                                      int64_t from_row, float *to, int64_t to_row)
{
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int n = 0; n < 8; n++) {
        const char *x = from + n * from_row;
        const __m256i words =
            halves
                ? _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)x)), 16)
                : _mm256_loadu_si256((const __m256i *)x);
        r[n] = _mm256_castsi256_ps(words);
    }
#pragma GCC unroll 4
    for (int n = 0; n < 8; n += 2) {
        t[n] = _mm256_unpacklo_ps(r[n], r[n + 1]);
        t[n + 1] = _mm256_unpackhi_ps(r[n], r[n + 1]);
    }
#pragma GCC unroll 2
    for (int n = 0; n < 8; n += 4) {
        r[n] = _mm256_shuffle_ps(t[n], t[n + 2], 0x44);
        r[n + 1] = _mm256_shuffle_ps(t[n], t[n + 2], 0xee);
        r[n + 2] = _mm256_shuffle_ps(t[n + 1], t[n + 3], 0x44);
        r[n + 3] = _mm256_shuffle_ps(t[n + 1], t[n + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        _mm256_storeu_ps(to + k * to_row, _mm256_permute2f128_ps(r[k], r[k + 4], 0x20));
        _mm256_storeu_ps(to + (k + 4) * to_row, _mm256_permute2f128_ps(r[k], r[k + 4], 0x31));
    }
}
#endif

/* to[k][n] = from[n][k]; from_row in bytes, to_row in elements. */
typedef struct {
    const char *from;
    bool halves; /* from holds bf16 */
    int64_t from_row;
    float *to;
    int64_t to_row;
} turning;

/* Words of columns [first,end) and k in [begin,depth), one by one. */
static void turn_rest(const turning *t, int64_t begin, int64_t depth, int64_t first, int64_t end)
{
    for (int64_t n = first; n < end; n++)
        for (int64_t k = begin; k < depth; k++) {
            const char *x = t->from + n * t->from_row + k * (t->halves ? 2 : 4);
            float *to = t->to + k * t->to_row + n;
            uint16_t half;
            memcpy(&half, x, sizeof half);
            if (t->halves)
                *to = bf16_to_float(half);
            else
                memcpy(to, x, sizeof *to);
        }
}

static void turn(const struct product_turns *by, const char *from, bool halves, int64_t from_row,
                 int64_t depth, int64_t columns, float *to, int64_t to_row)
{
    const int64_t size = by->size;
    const int64_t n_end = by->square ? columns / size * size : 0;
    const int64_t k_end = by->square ? depth / size * size : 0;
    for (int64_t n = 0; n < n_end; n += size)
        for (int64_t k = 0; k < k_end; k += size)
            by->square(from + n * from_row + k * (halves ? 2 : 4), halves, from_row,
                       to + k * to_row + n, to_row);
    const turning rest = {from, halves, from_row, to, to_row};
    turn_rest(&rest, k_end, depth, 0, n_end);
    turn_rest(&rest, 0, depth, n_end, columns);
}

void product_turn(const product_copier *by, const void *from, int64_t from_row, int64_t depth,
                  int64_t columns, float *to, int64_t to_row)
{
    turn(by->turns, from, by->dtype == SODA_BF16, from_row * (int64_t)dtype_bytes(by->dtype), depth,
         columns, to, to_row);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw,avx512vl"))) static void
turn_halves_avx512(const uint16_t *from, int64_t from_row, uint16_t *to, int64_t to_row)
{
    __m512i r[16];
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) {
        const uint16_t *x = from + 2 * n * from_row;
        const __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
        const __m512i odd =
            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + from_row)));
        r[n] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
    }
    transpose16(r);
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) _mm512_storeu_si512(to + k * to_row, r[k]);
}
#endif

product_copier product_copier_for(soda_dtype dtype, bool pairs)
{
    static const struct product_turns turns[SIMD_VARIANTS] = {
#if defined(__x86_64__)
        [ISA_AVX2] = {turn_avx2, 8, NULL},
        [ISA_AVX512] = {turn_avx512, 16, turn_halves_avx512},
#endif
        [ISA_BASE] = {NULL, 1, NULL},
    };
    return (product_copier){dtype, pairs, product_copies_for(dtype), &turns[simd_variant()]};
}

static void turn_halves(const uint16_t *from, int64_t from_row, int64_t depth, int64_t columns,
                        uint16_t *to, int64_t to_row)
{
    for (int64_t n = 0; n < columns; n++)
        for (int64_t k = 0; k < depth; k++) to[k * to_row + n] = from[n * from_row + k];
}

void product_turn_halves(const product_copier *by, const uint16_t *from, int64_t from_row,
                         int64_t depth, int64_t columns, uint16_t *to, int64_t to_row,
                         int64_t width)
{
    turn_block *const block = by->turns->block;
    const int64_t n_end = block ? columns / 32 * 32 : 0, k_end = block ? depth / 16 * 16 : 0;
    for (int64_t k = 0; k < k_end; k += 16)
        for (int64_t n = 0; n < n_end; n += 32)
            block(from + n * from_row + k, from_row, to + k * to_row + n, to_row);
    turn_halves(from + k_end, from_row, depth - k_end, n_end, to + k_end * to_row, to_row);
    turn_halves(from + n_end * from_row, from_row, depth, columns - n_end, to + n_end, to_row);
    for (int64_t k = 0; k < depth && columns < width; k++)
        memset(to + k * to_row + columns, 0, (size_t)(width - columns) * sizeof *to);
}

void product_copy_turned(const product_copier *by, const void *from, int64_t from_row,
                         int64_t depth, int64_t columns, float *to, int64_t width)
{
    const bool halves = by->dtype == SODA_BF16 && !by->pairs;
    const bool pairs = by->dtype == SODA_BF16 && by->pairs;
    const int64_t words = pairs ? depth / 2 : depth;
    turn(by->turns, from, halves, from_row * (int64_t)dtype_bytes(by->dtype), words, columns, to,
         width);
    int64_t end = words;
    if (pairs && depth % 2) {
        const uint16_t *last = (const uint16_t *)from + depth - 1;
        for (int64_t n = 0; n < columns; n++) to[words * width + n] = pair(last[n * from_row], 0);
        end++;
    }
    for (int64_t k = 0; k < end && columns < width; k++)
        memset(to + k * width + columns, 0, (size_t)(width - columns) * sizeof *to);
}
