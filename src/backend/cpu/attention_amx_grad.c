/* attention_grad in bf16 on AMX tiles: a task is a run of keys of one head.
 *
 *     p = exp(s - lse)     ds = p (do v' - D), D = rowsum(do o)     Dao et al., arXiv:2205.14135
 *     dv = p' do           dk = scale ds' q                         dq = scale ds k
 *
 * Everything goes in units of 32 keys by 32 queries, and keys are rows: s and do v' are made as
 * [keys][queries], k and v being left tiles, q and do right tiles. p and ds, cut to bf16, are left
 * tiles for dv and dk [keys][d], where a query stands beside the one 16 behind it, as
 * amx_pack_pairs packs q and do; and ds is a right tile as well, for dq [d][queries]. A task adds
 * its share of dq to a copy of its own; phase 2 adds the copies in a fixed order. */
#if defined(__x86_64__)
#include <string.h>

#include "backend/cpu/attention_amx.h"

/* Units in a block: of keys, whose dk and dv are summed in place, and of queries. */
enum { KEY_UNITS = 2, QUERY_UNITS = 4, BLOCK_UNITS = KEY_UNITS * QUERY_UNITS };
enum { PACK_UNITS = 8, MAX_COPIES = 16, TILE_BYTES = 1024, BLOCK_BYTES = 4 * TILE_BYTES };

static const float LOG2E = 1.44269504088896341f;
/* Size of a logit, and an lse, that make p = 0: finite, and far beyond what is real. */
static const float HIDDEN = 1e30f, NO_QUERY = 1e30f;

typedef struct {
    int64_t depth;       /* tiles along d where d is summed over */
    int64_t tiles;       /* tiles along d where it is not */
    int64_t pairs;       /* of those tiles */
    int64_t heads;       /* of all pictures */
    int64_t query_units; /* per head */
    int64_t key_units;
    int64_t pack_parts; /* per head */
    int64_t copies;     /* of dq */
} sizes;

typedef struct {
    /* Shared, per head and query unit: right tiles [2][depth], pair tiles [tiles], sums. */
    uint16_t *q, *dout, *q_pairs, *dout_pairs;
    float *delta, *lse2; /* [heads][query units][32] */
    char *dq;            /* [copies][heads][query units][pairs] blocks of sums */
    /* Of the thread. */
    uint16_t *k, *v, *k_t;   /* [KEY_UNITS]: left tiles [2][depth] twice, transposed ones [tiles] */
    char *dk, *dv;           /* [KEY_UNITS][pairs] blocks of sums */
    float *s, *dp;           /* a block of sums each */
    char *p, *ds, *ds_right; /* [BLOCK_UNITS]: two left tiles, two left tiles, two right tiles */
} places;

static sizes sizes_of(const attention_job *job)
{
    sizes z = {.depth = (job->d + 31) / 32,
               .tiles = (job->d + 15) / 16,
               .heads = job->batch * job->heads,
               .query_units = ceil_div(job->tq, UNIT),
               .key_units = ceil_div(job->tk, UNIT)};
    z.pairs = (z.tiles + 1) / 2;
    z.pack_parts = ceil_div(z.query_units, PACK_UNITS);
    const int64_t blocks = ceil_div(z.key_units, KEY_UNITS);
    z.copies = attention_copies(z.heads, min64(blocks, MAX_COPIES));
    return z;
}

static void *take(char *base, size_t *used, int64_t bytes)
{
    char *at = base ? base + *used : NULL;
    *used += whole_lines((size_t)bytes);
    return at;
}

/* With NULL only counts bytes. */
static size_t lay_out_shared(const sizes *z, char *base, places *at)
{
    const int64_t units = z->heads * z->query_units;
    size_t used = 0;
    at->q = take(base, &used, units * 2 * z->depth * TILE_BYTES);
    at->dout = take(base, &used, units * 2 * z->depth * TILE_BYTES);
    at->q_pairs = take(base, &used, units * z->tiles * TILE_BYTES);
    at->dout_pairs = take(base, &used, units * z->tiles * TILE_BYTES);
    at->delta = take(base, &used, units * UNIT * 4);
    at->lse2 = take(base, &used, units * UNIT * 4);
    at->dq = take(base, &used, z->copies * units * z->pairs * BLOCK_BYTES);
    return used;
}

static size_t lay_out_own(const sizes *z, char *base, places *at)
{
    size_t used = 0;
    at->k = take(base, &used, KEY_UNITS * 2 * z->depth * TILE_BYTES);
    at->v = take(base, &used, KEY_UNITS * 2 * z->depth * TILE_BYTES);
    at->k_t = take(base, &used, KEY_UNITS * z->tiles * TILE_BYTES);
    at->dk = take(base, &used, KEY_UNITS * z->pairs * BLOCK_BYTES);
    at->dv = take(base, &used, KEY_UNITS * z->pairs * BLOCK_BYTES);
    at->s = take(base, &used, BLOCK_BYTES);
    at->dp = take(base, &used, BLOCK_BYTES);
    at->p = take(base, &used, BLOCK_UNITS * 2 * TILE_BYTES);
    at->ds = take(base, &used, BLOCK_UNITS * 2 * TILE_BYTES);
    at->ds_right = take(base, &used, BLOCK_UNITS * 2 * TILE_BYTES);
    return used;
}

size_t amx_gradient_shared(const attention_job *job)
{
    const sizes z = sizes_of(job);
    places at;
    return lay_out_shared(&z, NULL, &at);
}

size_t amx_gradient_own(const attention_job *job)
{
    const sizes z = sizes_of(job);
    places at;
    return lay_out_own(&z, NULL, &at);
}

int64_t amx_gradient_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    return phase == 1 ? z.heads * z.copies : z.heads * z.pack_parts;
}

/* D and lse of a unit of queries; rows are those that exist. */
AMX_TARGET static void statistics(const attention_job *job, const uint16_t *o, const uint16_t *dout,
                                  const float *lse, int64_t rows, float *delta, float *lse2)
{
    for (int64_t i = 0; i < UNIT; i++) {
        delta[i] = 0;
        lse2[i] = NO_QUERY;
        if (i >= rows) continue;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t c = 0; c < job->d; c += 16) {
            const int64_t left = job->d - c, at = i * job->width + c;
            const __mmask16 some = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
            const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, o + at));
            const __m512i b = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, dout + at));
            sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)),
                                  _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), sum);
        }
        delta[i] = _mm512_reduce_add_ps(sum);
        lse2[i] = lse[i] * LOG2E;
    }
}

/* Phase 0: the queries' side, and zero in dq. */
static void pack(const attention_job *job, const sizes *z, const places *at, int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(z->query_units, 1, z->pack_parts, task % z->pack_parts);
    const int64_t deep = 2 * z->depth * TILE_BF16, flat = z->tiles * TILE_BF16, w = job->width;
    for (int64_t u = r.first; u < r.first + r.rows; u++) {
        const int64_t unit = bh * z->query_units + u, row = u * UNIT, rows = job->tq - row;
        const int64_t from = (b * job->tq + row) * w + h * job->d;
        const uint16_t *q = (const uint16_t *)job->q + from, *o = (const uint16_t *)job->o + from;
        const uint16_t *dout = (const uint16_t *)job->dout + from;
        for (int t = 0; t < 2; t++) {
            const int64_t to = unit * deep + t * z->depth * TILE_BF16;
            amx_pack_right(q + t * 16 * w, w, rows - t * 16, job->d, at->q + to);
            amx_pack_right(dout + t * 16 * w, w, rows - t * 16, job->d, at->dout + to);
        }
        amx_pack_pairs(q, w, rows, job->d, at->q_pairs + unit * flat);
        amx_pack_pairs(dout, w, rows, job->d, at->dout_pairs + unit * flat);
        statistics(job, o, dout, job->lse + bh * job->tq + row, rows, at->delta + unit * UNIT,
                   at->lse2 + unit * UNIT);
    }
    const int64_t bytes = z->pairs * BLOCK_BYTES, units = z->heads * z->query_units;
    for (int64_t copy = 0; copy < z->copies; copy++)
        memset(at->dq + (copy * units + bh * z->query_units + r.first) * bytes, 0,
               (size_t)(r.rows * bytes));
}

/* s and do v' of one unit: keys [unit of the block], queries [unit of all heads]. */
static void logits(const sizes *z, const places *at, int64_t key_unit, int64_t unit)
{
    const int64_t half = z->depth * TILE_BYTES;
    amx_product p = {.left_second = half,
                     .left_step = TILE_BYTES,
                     .right_second = half,
                     .right_step = TILE_BYTES,
                     .steps = z->depth};
    p.left = (char *)at->k + key_unit * 2 * half;
    p.right = (char *)at->q + unit * 2 * half;
    p.sums = at->s;
    amx_multiply(&p);
    p.left = (char *)at->v + key_unit * 2 * half;
    p.right = (char *)at->dout + unit * 2 * half;
    p.sums = at->dp;
    amx_multiply(&p);
}

/* Hides keys that are not there, and from each query those behind it. */
static void mask(const attention_job *job, float *s, int64_t key, int64_t query)
{
    if (key + UNIT <= job->tk && (!job->causal || key + UNIT <= query + 1)) return;
    const float hide = job->scale < 0 ? HIDDEN : -HIDDEN;
    for (int64_t j = 0; j < UNIT; j++)
        for (int t = 0; t < 2; t++) {
            int64_t hidden = job->causal ? key + j - query - 16 * t : 0;
            if (key + j >= job->tk) hidden = 16;
            for (int64_t i = 0; i < min64(hidden, 16); i++) s[t * 2 * TILE_F32 + j * 16 + i] = hide;
        }
}

/* p, and ds in both forms, of one unit. */
AMX_TARGET static void probabilities(const places *at, int64_t block_unit, float c,
                                     const float *lse2, const float *delta)
{
    const __m512 factor = _mm512_set1_ps(c), zero = _mm512_setzero_ps();
    const __m512 shift[2] = {_mm512_sub_ps(zero, _mm512_loadu_ps(lse2)),
                             _mm512_sub_ps(zero, _mm512_loadu_ps(lse2 + 16))};
    const __m512 d[2] = {_mm512_loadu_ps(delta), _mm512_loadu_ps(delta + 16)};
    char *to_p = at->p + block_unit * 2 * TILE_BYTES, *to_ds = at->ds + block_unit * 2 * TILE_BYTES;
    char *to_right = at->ds_right + block_unit * 2 * TILE_BYTES;
    for (int j = 0; j < UNIT; j += 2) {
        __m512 p[2][2], ds[2][2]; /* [query tile][key] */
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const int t = i / 2, y = i % 2;
            const int64_t from = t * 2 * TILE_F32 + (j + y) * 16;
            p[t][y] = amx_exp2(_mm512_fmadd_ps(_mm512_loadu_ps(at->s + from), factor, shift[t]));
            ds[t][y] = _mm512_mul_ps(p[t][y], _mm512_sub_ps(_mm512_loadu_ps(at->dp + from), d[t]));
        }
#pragma GCC unroll 2
        for (int y = 0; y < 2; y++) {
            _mm512_storeu_si512(to_p + (j + y) * 64, amx_pair(p[0][y], p[1][y]));
            _mm512_storeu_si512(to_ds + (j + y) * 64, amx_pair(ds[0][y], ds[1][y]));
            _mm512_storeu_si512(to_right + y * TILE_BYTES + j / 2 * 64,
                                amx_pair(ds[y][0], ds[y][1]));
        }
    }
}

/* dk or dv [unit of keys] += left tiles of p or ds by pair tiles, over a run of query units. */
static void add_to_keys(const sizes *z, char *sums, const char *left, const uint16_t *pairs,
                        int64_t queries)
{
    for (int64_t i = 0; i < z->pairs; i++)
        amx_multiply(&(amx_product){.left = left,
                                    .left_second = TILE_BYTES,
                                    .left_step = 2 * TILE_BYTES,
                                    .right = pairs + i * 2 * TILE_BF16,
                                    .right_second = TILE_BYTES,
                                    .right_step = z->tiles * TILE_BYTES,
                                    .steps = queries,
                                    .sums = sums + i * BLOCK_BYTES,
                                    .add = true,
                                    .one_right = 2 * i + 1 == z->tiles});
}

/* dq [one unit of queries] += k' ds, over the block's units of keys. */
static void add_to_queries(const sizes *z, const places *at, char *dq, int64_t query, int64_t keys)
{
    for (int64_t i = 0; i < z->pairs; i++)
        amx_multiply(&(amx_product){.left = at->k_t + i * 2 * TILE_BF16,
                                    .left_second = TILE_BYTES,
                                    .left_step = z->tiles * TILE_BYTES,
                                    .right = at->ds_right + query * 2 * TILE_BYTES,
                                    .right_second = TILE_BYTES,
                                    .right_step = QUERY_UNITS * 2 * TILE_BYTES,
                                    .steps = keys,
                                    .sums = dq + i * BLOCK_BYTES,
                                    .add = true,
                                    .one_left = 2 * i + 1 == z->tiles});
}

/* A block: units of keys, whose first key is `key`, by units of queries from u on. */
static void one_block(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                      int64_t copy, int64_t key, int64_t keys, int64_t u)
{
    const int64_t unit = bh * z->query_units + u, flat = z->tiles * TILE_BF16;
    const int64_t queries = min64(QUERY_UNITS, z->query_units - u);
    for (int64_t y = 0; y < keys; y++)
        for (int64_t x = 0; x < queries; x++) {
            logits(z, at, y, unit + x);
            mask(job, at->s, key + y * UNIT, (u + x) * UNIT);
            probabilities(at, y * QUERY_UNITS + x, job->scale * LOG2E, at->lse2 + (unit + x) * UNIT,
                          at->delta + (unit + x) * UNIT);
        }
    for (int64_t y = 0; y < keys; y++) {
        const int64_t sums = y * z->pairs * BLOCK_BYTES, left = y * QUERY_UNITS * 2 * TILE_BYTES;
        add_to_keys(z, at->dv + sums, at->p + left, at->dout_pairs + unit * flat, queries);
        add_to_keys(z, at->dk + sums, at->ds + left, at->q_pairs + unit * flat, queries);
    }
    char *dq = at->dq + (copy * z->heads * z->query_units + unit) * z->pairs * BLOCK_BYTES;
    for (int64_t x = 0; x < queries; x++)
        add_to_queries(z, at, dq + x * z->pairs * BLOCK_BYTES, x, keys);
}

static void load_keys(const attention_job *job, const sizes *z, const places *at, int64_t from,
                      int64_t rows, int64_t keys)
{
    const int64_t w = job->width, half = z->depth * TILE_BF16;
    for (int64_t y = 0; y < keys; y++) {
        const int64_t at_row = from + y * UNIT * w, left = rows - y * UNIT;
        const uint16_t *k = (const uint16_t *)job->k + at_row;
        const uint16_t *v = (const uint16_t *)job->v + at_row;
        for (int t = 0; t < 2; t++) {
            const int64_t to = (y * 2 + t) * half;
            amx_pack_left(k + t * 16 * w, w, left - t * 16, job->d, at->k + to);
            amx_pack_left(v + t * 16 * w, w, left - t * 16, job->d, at->v + to);
        }
        amx_pack_left_t(k, w, left, job->d, at->k_t + y * z->tiles * TILE_BF16);
    }
}

/* dk or dv of a block out of its sums. */
static void store_keys(const attention_job *job, const sizes *z, const char *sums, void *dst,
                       int64_t from, int64_t rows, float factor)
{
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t t = 0; t < z->tiles; t++) {
            const int64_t block = i / UNIT * z->pairs + t / 2;
            const int64_t tile = block * 4 + t % 2 * 2 + i / 16 % 2;
            amx_store_tile((const float *)(sums + tile * TILE_BYTES), factor, rows - i,
                           job->d - t * 16, (uint16_t *)dst + from + i * job->width + t * 16,
                           job->width);
        }
}

/* Phase 1: one run of key blocks. */
static void one_task(const attention_job *job, const sizes *z, const places *at, int64_t task)
{
    const int64_t bh = task / z->copies, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(z->key_units, KEY_UNITS, z->copies, task % z->copies);
    const size_t bytes = (size_t)(KEY_UNITS * z->pairs * BLOCK_BYTES);
    amx_begin();
    for (int64_t first = r.first; first < r.first + r.rows; first += KEY_UNITS) {
        const int64_t keys = min64(KEY_UNITS, r.first + r.rows - first);
        const int64_t key = first * UNIT, rows = min64(keys * UNIT, job->tk - key);
        const int64_t from = (b * job->tk + key) * job->width + h * job->d;
        load_keys(job, z, at, from, rows, keys);
        memset(at->dk, 0, bytes);
        memset(at->dv, 0, bytes);
        /* Causal: no query before the first key sees it. */
        for (int64_t u = job->causal ? first : 0; u < z->query_units; u += QUERY_UNITS)
            one_block(job, z, at, bh, task % z->copies, key, keys, u);
        store_keys(job, z, at->dk, job->out[1], from, rows, job->scale);
        store_keys(job, z, at->dv, job->out[2], from, rows, 1);
    }
    amx_end();
}

/* Phase 2: dq from its copies. */
AMX_TARGET static void finish_dq(const attention_job *job, const sizes *z, const places *at,
                                 int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(z->query_units, 1, z->pack_parts, task % z->pack_parts);
    const int64_t unit_f32 = z->pairs * 4 * TILE_F32, all = z->heads * z->query_units * unit_f32;
    for (int64_t u = r.first; u < r.first + r.rows; u++) {
        float *dq = (float *)at->dq + (bh * z->query_units + u) * unit_f32;
        for (int64_t copy = 1; copy < z->copies; copy++)
            for (int64_t i = 0; i < unit_f32; i += 16)
                _mm512_storeu_ps(dq + i, _mm512_add_ps(_mm512_loadu_ps(dq + i),
                                                       _mm512_loadu_ps(dq + copy * all + i)));
        const int64_t rows = job->tq - u * UNIT;
        const int64_t from = (b * job->tq + u * UNIT) * job->width + h * job->d;
        for (int64_t t = 0; t < z->tiles; t++)
            for (int half = 0; half < 2 && half * 16 < rows; half++) {
                float *tile = dq + (t / 2 * 4 + half * 2 + t % 2) * TILE_F32;
                amx_transpose_tile(tile);
                amx_store_tile(tile, job->scale, rows - half * 16, job->d - t * 16,
                               (uint16_t *)job->out[0] + from + half * 16 * job->width + t * 16,
                               job->width);
            }
    }
}

void amx_gradient_run(const attention_job *job, int phase, int64_t task)
{
    const sizes z = sizes_of(job);
    places at;
    lay_out_shared(&z, job->shared, &at);
    lay_out_own(&z, job->own, &at);
    if (phase == 0)
        pack(job, &z, &at, task);
    else if (phase == 1)
        one_task(job, &z, &at, task);
    else
        finish_dq(job, &z, &at, task);
}
#endif
