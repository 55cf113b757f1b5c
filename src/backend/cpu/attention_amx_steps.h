/* attention_amx_steps.h: the two steps of attention_amx_forward.c on tiles, to be inlined there
 * with constant counts. Logits of a block of keys and a group of 32 queries:
 *
 *     s  [units of 32 keys][2 query tiles][32 keys][16 queries] fp32
 *     o  [tiles of d][2 query tiles] tiles of sums [16 of d][16 queries] fp32 */
#pragma once

#include "backend/cpu/attention_amx.h"

/* The maximum of 16 keys by 16 queries, and of top. */
AMX_INLINE __m512 max_of_tile(const float *s, __m512 top)
{
    __m512 other = _mm512_loadu_ps(s);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        top = _mm512_max_ps(top, _mm512_loadu_ps(s + i * 16));
        other = _mm512_max_ps(other, _mm512_loadu_ps(s + (i + 1) * 16));
    }
    return _mm512_max_ps(top, other);
}

/* Step 1 for depth 1 and 2: the group's queries stay in tiles 4 .. 7. */
AMX_INLINE void logits_narrow(const uint16_t *k, const uint16_t *q, int64_t depth, int64_t units,
                              float *s, __m512 top[2])
{
    TILE_LOAD(4, q);
    TILE_LOAD(5, q + depth * TILE_BF16);
    if (depth > 1) {
        TILE_LOAD(6, q + TILE_BF16);
        TILE_LOAD(7, q + 3 * TILE_BF16);
    }
    for (int64_t half = 0; half < 2 * units; half++, k += depth * TILE_BF16) {
        /* [unit][query tile][half of the keys] */
        float *to = s + half / 2 * 4 * TILE_F32 + half % 2 * TILE_F32;
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_LOAD(2, k);
        TILE_DOT(0, 2, 4);
        TILE_DOT(1, 2, 5);
        if (depth > 1) {
            TILE_LOAD(3, k + TILE_BF16);
            TILE_DOT(0, 3, 6);
            TILE_DOT(1, 3, 7);
        }
        TILE_STORE(0, to);
        TILE_STORE(1, to + 2 * TILE_F32);
        if (half > 0) { /* the tile before: this one is not there yet */
            const int64_t last = half - 1;
            const float *from = s + last / 2 * 4 * TILE_F32 + last % 2 * TILE_F32;
            top[0] = max_of_tile(from, top[0]);
            top[1] = max_of_tile(from + 2 * TILE_F32, top[1]);
        }
    }
    const float *from = s + (units - 1) * 4 * TILE_F32 + TILE_F32;
    top[0] = max_of_tile(from, top[0]);
    top[1] = max_of_tile(from + 2 * TILE_F32, top[1]);
}

/* Step 1 for any depth: 2 x 2 tiles of sums. */
AMX_INLINE void logits_wide(const uint16_t *k, const uint16_t *q, int64_t depth, int64_t units,
                            float *s, __m512 top[2])
{
    for (int64_t u = 0; u < units; u++, s += 4 * TILE_F32) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
        for (int64_t c = 0; c < depth; c++, k += TILE_BF16) {
            TILE_LOAD(4, k);
            TILE_LOAD(6, q + c * TILE_BF16);
            TILE_DOT(0, 4, 6);
            TILE_LOAD(5, k + depth * TILE_BF16);
            TILE_DOT(1, 5, 6);
            TILE_LOAD(7, q + (depth + c) * TILE_BF16);
            TILE_DOT(2, 4, 7);
            TILE_DOT(3, 5, 7);
        }
        k += depth * TILE_BF16; /* the second half was read along with the first */
        TILE_STORE(0, s);
        TILE_STORE(1, s + TILE_F32);
        TILE_STORE(2, s + 2 * TILE_F32);
        TILE_STORE(3, s + 3 * TILE_F32);
        for (int t = 0; t < 2; t++) {
            top[t] = max_of_tile(s + 2 * t * TILE_F32, top[t]);
            top[t] = max_of_tile(s + (2 * t + 1) * TILE_F32, top[t]);
        }
    }
}

typedef struct {
    __m512 c, shift[2], sum[2];
} exponents;

/* Probabilities of 32 keys and 32 queries, in place: [2][32][16] fp32 -> [2] right tiles, each at
 * the start of its logits. A row of pairs is written behind the two rows that it is read from. */
AMX_INLINE void probabilities(float *s, exponents *e)
{
#pragma GCC unroll 2
    for (int t = 0; t < 2; t++, s += 2 * TILE_F32)
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
            const __m512 x0 = _mm512_loadu_ps(s + 2 * j * 16);
            const __m512 x1 = _mm512_loadu_ps(s + (2 * j + 1) * 16);
            const __m512 p0 = amx_exp2(_mm512_fmadd_ps(x0, e->c, e->shift[t]));
            const __m512 p1 = amx_exp2(_mm512_fmadd_ps(x1, e->c, e->shift[t]));
            e->sum[t] = _mm512_add_ps(e->sum[t], _mm512_add_ps(p0, p1));
            _mm512_storeu_si512(s + j * 16, amx_pair(p0, p1));
        }
}

/* One unit of keys into up to 3 x 2 tiles of sums: p right tiles, v left tiles. */
AMX_INLINE void weigh(const float *p, const uint16_t *v, int64_t count)
{
    TILE_LOAD(7, p);
    TILE_LOAD(6, v);
    TILE_DOT(0, 6, 7);
    if (count > 1) {
        TILE_LOAD(6, v + TILE_BF16);
        TILE_DOT(1, 6, 7);
    }
    if (count > 2) {
        TILE_LOAD(6, v + 2 * TILE_BF16);
        TILE_DOT(2, 6, 7);
    }
    TILE_LOAD(7, p + 2 * TILE_F32);
    TILE_LOAD(6, v);
    TILE_DOT(3, 6, 7);
    if (count > 1) {
        TILE_LOAD(6, v + TILE_BF16);
        TILE_DOT(4, 6, 7);
    }
    if (count > 2) {
        TILE_LOAD(6, v + 2 * TILE_BF16);
        TILE_DOT(5, 6, 7);
    }
}

AMX_INLINE void load_sums(const float *o, int64_t count, bool first)
{
    if (first) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
        TILE_ZERO(4);
        TILE_ZERO(5);
        return;
    }
    TILE_LOAD(0, o);
    TILE_LOAD(3, o + TILE_F32);
    if (count > 1) {
        TILE_LOAD(1, o + 2 * TILE_F32);
        TILE_LOAD(4, o + 3 * TILE_F32);
    }
    if (count > 2) {
        TILE_LOAD(2, o + 4 * TILE_F32);
        TILE_LOAD(5, o + 5 * TILE_F32);
    }
}

AMX_INLINE void store_sums(float *o, int64_t count)
{
    TILE_STORE(0, o);
    TILE_STORE(3, o + TILE_F32);
    if (count > 1) {
        TILE_STORE(1, o + 2 * TILE_F32);
        TILE_STORE(4, o + 3 * TILE_F32);
    }
    if (count > 2) {
        TILE_STORE(2, o + 4 * TILE_F32);
        TILE_STORE(5, o + 5 * TILE_F32);
    }
}

/* Step 2 for `count` tiles of d; with e, the probabilities are made along the way. */
AMX_INLINE void values_of_tiles(float *s, const uint16_t *v, float *o, int64_t units,
                                int64_t v_step, int64_t count, bool first, exponents *e)
{
    load_sums(o, count, first);
    for (int64_t u = 0; u < units; u++) {
        if (e) probabilities(s + u * 4 * TILE_F32, e);
        /* The unit before: this one's stores are still on their way. */
        if (u > 0) weigh(s + (u - 1) * 4 * TILE_F32, v + (u - 1) * v_step, count);
    }
    weigh(s + (units - 1) * 4 * TILE_F32, v + (units - 1) * v_step, count);
    store_sums(o, count);
}
