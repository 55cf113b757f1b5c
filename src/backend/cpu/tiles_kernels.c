#if defined(__x86_64__)
#include "backend/cpu/tiles_kernels.h"

#include "backend/cpu/attention_amx.h"

#define BF16_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma")))

/* A left tile whose rows are `row` bytes apart. */
#define TILE_LOAD_ROWS(t, p, row)                                                                  \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"(row) : "memory")

/* Tiles 0-3 are sums [half of pixels][half of out], 4 and 5 left, 6 and 7 right operands. */
void tiles_begin(const int rows[2])
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    const int of[8] = {rows[0], rows[0], rows[1], rows[1], rows[0], rows[1], 16, 16};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = 64;
        config.rows[t] = (uint8_t)(of[t] ? of[t] : 16);
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

void tiles_end(void) { amx_end(); }

static void load_sums(const float *sums, bool add, bool two)
{
    if (!add) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
        return;
    }
    TILE_LOAD(0, sums);
    TILE_LOAD(1, sums + TILE_F32);
    if (!two) return;
    TILE_LOAD(2, sums + 2 * TILE_F32);
    TILE_LOAD(3, sums + 3 * TILE_F32);
}

AMX_TARGET void tiles_product(const tiles_left *left, int64_t first, int64_t end,
                              const uint16_t *cells, float *sums, bool add, const char *next,
                              int64_t ahead)
{
    const bool two = left->rows[1] > 0;
    const int64_t apart = left->x_row, taps = left->taps;
    const int64_t share = (ahead / ((end - first) * taps) + 63) / 64 * 64; /* of each cell */
    load_sums(sums, add, two);
    for (int64_t block = first; block < end; block++) {
        const char *x = left->x[0] + block * left->x_block;
        const int64_t second = two ? left->x[1] - left->x[0] : 0;
        for (int64_t t = 0; t < taps; t++, cells += CELL) {
            const char *a = x + left->tap[t];
            TILE_LOAD_ROWS(4, a, apart);
            TILE_LOAD(6, cells);
            TILE_DOT(0, 4, 6);
            TILE_LOAD(7, cells + TILE_BF16);
            TILE_DOT(1, 4, 7);
            if (two) {
                TILE_LOAD_ROWS(5, a + second, apart);
                TILE_DOT(2, 5, 6);
                TILE_DOT(3, 5, 7);
            }
            for (int64_t i = 0; i < share && ahead > 0; i += 64, ahead -= 64, next += 64)
                _mm_prefetch(next, _MM_HINT_T1);
        }
    }
    TILE_STORE(0, sums);
    TILE_STORE(1, sums + TILE_F32);
    if (!two) return;
    TILE_STORE(2, sums + 2 * TILE_F32);
    TILE_STORE(3, sums + 3 * TILE_F32);
}

BF16_TARGET void tiles_finish(const float *sums, const int rows[2], const float *bias,
                              int64_t columns, uint16_t *const y[2], int64_t y_row)
{
    const __mmask32 mask = columns >= 32 ? 0xffffffffu : (1u << columns) - 1;
    const __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> 16);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 b0 = bias ? _mm512_maskz_loadu_ps(low, bias) : zero;
    const __m512 b1 = bias ? _mm512_maskz_loadu_ps(high, bias + 16) : zero;
    for (int half = 0; half < 2; half++) {
        const float *from = sums + (int64_t)half * 2 * TILE_F32;
        uint16_t *to = y[half];
        for (int r = 0; r < rows[half]; r++, from += 16, to += y_row) {
            const __m512 a0 = _mm512_add_ps(_mm512_load_ps(from), b0);
            const __m512 a1 = _mm512_add_ps(_mm512_load_ps(from + TILE_F32), b1);
            _mm512_mask_storeu_epi16(to, mask, (__m512i)_mm512_cvtne2ps_pbh(a1, a0));
        }
    }
}

BF16_TARGET void tiles_finish_wide(const float *sums, const int rows[2], int64_t columns,
                                   float *const y[2], int64_t y_row)
{
    const __mmask32 mask = columns >= 32 ? 0xffffffffu : (1u << columns) - 1;
    for (int half = 0; half < 2; half++) {
        const float *from = sums + (int64_t)half * 2 * TILE_F32;
        float *to = y[half];
        for (int r = 0; r < rows[half]; r++, from += 16, to += y_row) {
            _mm512_mask_storeu_ps(to, (__mmask16)mask, _mm512_load_ps(from));
            _mm512_mask_storeu_ps(to + 16, (__mmask16)(mask >> 16),
                                  _mm512_load_ps(from + TILE_F32));
        }
    }
}

AMX_TARGET void tiles_transpose_cell(const uint16_t *from, uint16_t *to)
{
    for (int half = 0; half < 2; half++) { /* of out, which becomes pairs 8 half .. */
        __m512i r[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(from + half * TILE_BF16 + i * 32);
        transpose16(r); /* r[out] now holds 32 channels in */
#pragma GCC unroll 8
        for (int q = 0; q < 8; q++) {
            uint16_t *pair = to + (half * 8 + q) * 32;
            _mm512_storeu_si512(pair, pair_words(r[2 * q], r[2 * q + 1], false));
            _mm512_storeu_si512(pair + TILE_BF16, pair_words(r[2 * q], r[2 * q + 1], true));
        }
    }
}

static inline __mmask32 first(int64_t n) { return n >= 32 ? 0xffffffffu : (1u << n) - 1; }

AMX_TARGET void tiles_make_cell(const uint16_t *w, int64_t w_row, int64_t out, int64_t in,
                                bool turned, uint16_t *to)
{
    const __m512i zero = _mm512_setzero_si512();
    for (int pair = 0; turned && pair < 16; pair++) {
        const uint16_t *even = w + 2 * pair * w_row;
        const bool has_even = 2 * pair < in, has_odd = 2 * pair + 1 < in;
        const __m512i a = has_even ? _mm512_maskz_loadu_epi16(first(out), even) : zero;
        const __m512i b = has_odd ? _mm512_maskz_loadu_epi16(first(out), even + w_row) : zero;
        _mm512_storeu_si512(to + pair * 32, pair_words(a, b, false));
        _mm512_storeu_si512(to + TILE_BF16 + pair * 32, pair_words(a, b, true));
    }
    for (int half = 0; !turned && half < 2; half++) {
        __m512i r[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const int64_t o = half * 16 + i;
            r[i] = o < out ? _mm512_maskz_loadu_epi16(first(in), w + o * w_row) : zero;
        }
        transpose16(r);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + half * TILE_BF16 + i * 32, r[i]);
    }
}

AMX_TARGET void tiles_pack_strip(const uint16_t *row, int64_t pixels, int64_t channels,
                                 int64_t column, int64_t stride, int64_t width, uint16_t *planes,
                                 int64_t plane)
{
    for (int64_t c = 0; c < channels; c += 32, planes += plane) {
        const __mmask32 some = first(channels - c);
        for (int64_t i = 0, at = column; i < width; i++, at += stride) {
            const bool inside = row && at >= 0 && at < pixels;
            _mm512_storeu_si512(planes + i * 32,
                                inside ? _mm512_maskz_loadu_epi16(some, row + at * channels + c)
                                       : _mm512_setzero_si512());
        }
    }
}
#endif
