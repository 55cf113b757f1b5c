/* attention in bf16 on AMX tiles: a task is a block of queries of one head.
 *
 * As in fp32, queries are the columns: logits [keys][queries]. Keys are left tiles, queries right
 * tiles; the probabilities of 32 keys and 16 queries are a right tile in place of their logits,
 * and values are left tiles, transposed. Work goes in groups of 32 queries:
 *
 *   1. logits of a block of keys, tiles at full speed, while vectors find the maximum
 *   2. probabilities of 32 keys by vectors, while tiles multiply those of the 32 before
 *
 * The maximum that the exponents refer to follows the true one only when that has risen by 2^8:
 * any reference gives the same result, and the sums are rarely rescaled. */
#if defined(__x86_64__)
#include <math.h>

#include "backend/cpu/attention_amx_steps.h"
#include "core/round.h"

enum { GROUPS = 2, KEY_UNITS = 8, PACK_ROWS = 256, RESIDENT = 3 };

static const float LOG2E = 1.44269504088896341f, LN2 = 0.69314718055994531f;
static const float MASKED = -1e30f, SLACK = 8; /* of exponents */

typedef struct {
    int64_t depth;      /* tiles along d where d is summed over */
    int64_t tiles;      /* tiles along d where d is a row */
    int64_t units;      /* of 32 keys */
    int64_t heads;      /* of all pictures */
    int64_t blocks;     /* of queries, per head */
    int64_t pack_parts; /* per head */
} sizes;

typedef struct {
    uint16_t *q;              /* [GROUPS][2][depth] right tiles */
    float *s;                 /* [KEY_UNITS][2][32 keys][16 queries] */
    float *o;                 /* [GROUPS][tiles][2] tiles of sums [16 of d][16 queries] */
    float *max, *sum, *scale; /* [GROUPS][32] */
} places;

static sizes sizes_of(const attention_job *job)
{
    return (sizes){.depth = (job->d + 31) / 32,
                   .tiles = (job->d + 15) / 16,
                   .units = ceil_div(job->tk, UNIT),
                   .heads = job->batch * job->heads,
                   .blocks = (job->tq + GROUPS * UNIT - 1) / (GROUPS * UNIT),
                   .pack_parts = ceil_div(job->tk, PACK_ROWS)};
}

static size_t take(size_t *used, size_t bytes)
{
    const size_t at = *used;
    *used += whole_lines(bytes);
    return at;
}

/* With base NULL only counts bytes. */
static size_t lay_out(const attention_job *job, char *base, places *at)
{
    const sizes z = sizes_of(job);
    size_t used = 0;
    const size_t q = take(&used, (size_t)(GROUPS * 2 * z.depth * TILE_BF16) * sizeof *at->q);
    const size_t s = take(&used, KEY_UNITS * 2 * UNIT * 16 * sizeof *at->s);
    const size_t o = take(&used, (size_t)(GROUPS * z.tiles * 2 * TILE_F32) * sizeof *at->o);
    const size_t max = take(&used, GROUPS * UNIT * sizeof *at->max);
    const size_t sum = take(&used, GROUPS * UNIT * sizeof *at->sum);
    const size_t scale = take(&used, GROUPS * UNIT * sizeof *at->scale);
    if (base)
        *at = (places){.q = (uint16_t *)(base + q),
                       .s = (float *)(base + s),
                       .o = (float *)(base + o),
                       .max = (float *)(base + max),
                       .sum = (float *)(base + sum),
                       .scale = (float *)(base + scale)};
    return used;
}

size_t amx_forward_own(const attention_job *job)
{
    places at = {.q = NULL};
    return lay_out(job, NULL, &at);
}

/* The places in memory that whoever runs a task has set. */
__attribute__((nonnull)) static places places_in(const attention_job *job, char *own)
{
    places at = {.q = NULL};
    lay_out(job, own, &at);
    return at;
}

/* Keys of one head: [units][2][depth] left tiles. */
static int64_t key_count(const sizes *z) { return z->units * 2 * z->depth * TILE_BF16; }
/* Values of one head: [units][tiles] left tiles, transposed. */
static int64_t value_count(const sizes *z) { return z->units * z->tiles * TILE_BF16; }

static uint16_t *keys_of(const attention_job *job, const sizes *z, int64_t bh)
{
    return (uint16_t *)job->shared + bh * key_count(z);
}

static uint16_t *values_of(const attention_job *job, const sizes *z, int64_t bh)
{
    return (uint16_t *)job->shared + z->heads * key_count(z) + bh * value_count(z);
}

size_t amx_forward_shared(const attention_job *job)
{
    const sizes z = sizes_of(job);
    return (size_t)(z.heads * (key_count(&z) + value_count(&z))) * sizeof(uint16_t);
}

int64_t amx_forward_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    if (phase == 0) return z.heads * z.pack_parts;
    return phase == 1 ? z.heads * z.blocks : 0;
}

static void pack(const attention_job *job, int64_t task)
{
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tk, UNIT, z.pack_parts, task % z.pack_parts);
    const int64_t from = b * job->tk * job->width + h * job->d;
    const uint16_t *k = (const uint16_t *)job->k + from, *v = (const uint16_t *)job->v + from;
    for (int64_t y = r.first; y < r.first + r.rows; y += UNIT) {
        const int64_t unit = y / UNIT, left = job->tk - y;
        uint16_t *keys = keys_of(job, &z, bh) + unit * 2 * z.depth * TILE_BF16;
        uint16_t *values = values_of(job, &z, bh) + unit * z.tiles * TILE_BF16;
        amx_pack_left(k + y * job->width, job->width, left, job->d, keys);
        amx_pack_left(k + (y + 16) * job->width, job->width, left - 16, job->d,
                      keys + z.depth * TILE_BF16);
        amx_pack_left_t(v + y * job->width, job->width, left, job->d, values);
    }
}

/* Hides what the last key of the block or causality hides, and finds the maximum again. */
AMX_TARGET static void mask(const attention_job *job, float *s, int64_t key, int64_t units,
                            int64_t query, __m512 top[2])
{
    top[0] = top[1] = _mm512_set1_ps(MASKED);
    for (int64_t j = 0; j < units * UNIT; j++) {
        for (int t = 0; t < 2; t++) {
            float *row = s + (j / UNIT * 2 + t) * 2 * TILE_F32 + j % UNIT * 16;
            int64_t hidden = job->causal ? key + j - query - 16 * t : 0;
            if (key + j >= job->tk) hidden = 16;
            for (int64_t i = 0; i < min64(hidden, 16); i++) row[i] = MASKED;
            top[t] = _mm512_max_ps(top[t], _mm512_loadu_ps(row));
        }
    }
}

/* Between the steps: the reference of the exponents, and what the sums so far are worth by it. */
AMX_TARGET static void refer(const places *at, const sizes *z, int group, float c,
                             const __m512 top[2], bool first)
{
    for (int t = 0; t < 2; t++) {
        float *max = at->max + group * UNIT + t * 16, *sum = at->sum + group * UNIT + t * 16;
        const __m512 old = _mm512_loadu_ps(max);
        const __m512 rise = _mm512_mul_ps(_mm512_sub_ps(top[t], old), _mm512_set1_ps(c));
        /* Not "greater": NaN must come through. */
        const __mmask16 raised =
            first ? 0xffff : _mm512_cmp_ps_mask(rise, _mm512_set1_ps(SLACK), _CMP_NLE_UQ);
        if (!raised) continue;
        _mm512_mask_storeu_ps(max, raised, top[t]);
        if (first) continue;
        const __m512 fall = _mm512_sub_ps(_mm512_setzero_ps(), rise);
        const __m512 keep = _mm512_mask_mul_ps(_mm512_set1_ps(1), raised, amx_exp2(fall),
                                               _mm512_set1_ps((float)(1 / AMX_CUT)));
        _mm512_storeu_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(sum), keep));
        float *o = at->o + (group * z->tiles * 2 + t) * TILE_F32;
        for (int64_t i = 0; i < z->tiles * 16; i++) {
            float *row = o + i / 16 * 2 * TILE_F32 + i % 16 * 16;
            _mm512_storeu_ps(row, _mm512_mul_ps(_mm512_loadu_ps(row), keep));
        }
    }
}

AMX_TARGET static void weigh_values(const places *at, const sizes *z, int group, float c,
                                    const uint16_t *v, int64_t units, bool first)
{
    const int64_t v_step = z->tiles * TILE_BF16;
    float *o = at->o + group * z->tiles * 2 * TILE_F32, *s = at->s;
    float *max = at->max + group * UNIT, *sum = at->sum + group * UNIT;
    const __m512 factor = _mm512_set1_ps(c), minus = _mm512_set1_ps(-c);
    exponents e = {.c = factor,
                   .shift = {_mm512_mul_ps(minus, _mm512_loadu_ps(max)),
                             _mm512_mul_ps(minus, _mm512_loadu_ps(max + 16))},
                   .sum = {_mm512_loadu_ps(sum), _mm512_loadu_ps(sum + 16)}};
    int64_t done = min64(z->tiles, RESIDENT);
    if (done == 3)
        values_of_tiles(s, v, o, units, v_step, 3, first, &e);
    else if (done == 2)
        values_of_tiles(s, v, o, units, v_step, 2, first, &e);
    else
        values_of_tiles(s, v, o, units, v_step, 1, first, &e);
    _mm512_storeu_ps(sum, e.sum[0]);
    _mm512_storeu_ps(sum + 16, e.sum[1]);
    while (done < z->tiles) {
        const int64_t left = z->tiles - done, count = left == 4 ? 2 : min64(left, 3);
        const uint16_t *from = v + done * TILE_BF16;
        float *to = o + done * 2 * TILE_F32;
        if (count == 3)
            values_of_tiles(s, from, to, units, v_step, 3, first, NULL);
        else if (count == 2)
            values_of_tiles(s, from, to, units, v_step, 2, first, NULL);
        else
            values_of_tiles(s, from, to, units, v_step, 1, first, NULL);
        done += count;
    }
}

/* One block of keys against one group of queries, the first of which is `query`. */
AMX_TARGET static void attend(const attention_job *job, const sizes *z, const places *at,
                              int64_t bh, int group, int64_t unit, int64_t units, int64_t query)
{
    const float c = fabsf(job->scale) * LOG2E;
    const uint16_t *k = keys_of(job, z, bh) + unit * 2 * z->depth * TILE_BF16;
    const uint16_t *v = values_of(job, z, bh) + unit * z->tiles * TILE_BF16;
    const uint16_t *q = at->q + group * 2 * z->depth * TILE_BF16;
    const int64_t key = unit * UNIT, end = key + units * UNIT;
    __m512 top[2] = {_mm512_set1_ps(MASKED), _mm512_set1_ps(MASKED)};
    if (z->depth == 1)
        logits_narrow(k, q, 1, units, at->s, top);
    else if (z->depth == 2)
        logits_narrow(k, q, 2, units, at->s, top);
    else
        logits_wide(k, q, z->depth, units, at->s, top);
    if (end > job->tk || (job->causal && end > query + 1)) mask(job, at->s, key, units, query, top);
    refer(at, z, group, c, top, unit == 0);
    weigh_values(at, z, group, c, v, units, unit == 0);
}

AMX_TARGET static void load_queries(const attention_job *job, const sizes *z, const places *at,
                                    const uint16_t *q, int64_t rows)
{
    const int64_t step = z->depth * TILE_BF16;
    for (int64_t t = 0; t < ceil_div(rows, UNIT) * 2; t++)
        amx_pack_right(q + t * 16 * job->width, job->width, rows - t * 16, job->d,
                       at->q + t * step);
    /* The maximum is sought before the factor, which must be >= 0: queries take its sign. */
    if (job->scale < 0)
        for (int64_t i = 0; i < GROUPS * 2 * step; i++) at->q[i] ^= 0x8000;
    for (int64_t i = 0; i < GROUPS * UNIT; i++) at->sum[i] = 0;
}

AMX_TARGET static void attend_block(const attention_job *job, int64_t task)
{
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.blocks, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, UNIT, z.blocks, task % z.blocks);
    const int64_t at_row = (b * job->tq + r.first) * job->width + h * job->d;
    const int groups = (int)ceil_div(r.rows, UNIT);
    const places at = places_in(job, job->own);

    load_queries(job, &z, &at, (const uint16_t *)job->q + at_row, r.rows);
    amx_begin();
    for (int64_t unit = 0; unit < z.units; unit += KEY_UNITS)
        for (int g = 0; g < groups; g++) {
            const int64_t query = r.first + g * UNIT;
            /* Keys behind the group's last query are not looked at. */
            const int64_t seen = job->causal ? ceil_div(query, UNIT) + 1 : z.units;
            const int64_t units = min64(min64(seen, z.units) - unit, KEY_UNITS);
            if (units > 0) attend(job, &z, &at, bh, g, unit, units, query);
        }
    amx_end();

    const float c = fabsf(job->scale) * LOG2E;
    float *lse = job->lse_out + bh * job->tq + r.first;
    for (int64_t i = 0; i < r.rows; i++) {
        const float sum = at.sum[i] * (float)(1 / AMX_CUT);
        lse[i] = (c * at.max[i] + log2f(sum)) * LN2;
        at.scale[i] = 1 / sum;
    }
    for (int64_t i = 0; i < r.rows; i += 16) {
        const float *o = at.o + (i / UNIT * z.tiles * 2 + i / 16 % 2) * TILE_F32;
        amx_store_rows(o, 2 * TILE_F32, at.scale + i, r.rows - i, job->d,
                       (uint16_t *)job->out[0] + at_row + i * job->width, job->width);
    }
}

void amx_forward_run(const attention_job *job, int phase, int64_t task)
{
    if (phase == 0)
        pack(job, task);
    else
        attend_block(job, task);
}
#endif
