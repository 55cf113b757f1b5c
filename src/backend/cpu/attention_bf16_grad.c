/* attention_grad in bf16 on AVX512-BF16: a task is a run of key blocks of one head.
 *
 *     p = exp(s - lse)     ds = p (do v' - D), D = rowsum(do o)     Dao et al., arXiv:2205.14135
 *     dv = p' do           dk = scale ds' q                         dq = scale ds k
 *
 * Keys are the lanes: [queries][keys], so that dk and dv are summed as [d][keys] in the cache and
 * leave it once. A task adds its share of dq to a copy of its own; phase 2 adds the copies in a
 * fixed order. With enough heads there is one copy. */
#if defined(__x86_64__)
#include <string.h>

#include "backend/cpu/attention_bf16.h"

enum { QUERIES = 96, PACK_ROWS = 256, MAX_COPIES = 16, KEY_PAIRS = BF16_BLOCK / 2 };

static const float LOG2E = 1.44269504088896341f;

typedef struct {
    int64_t pairs;       /* along d */
    int64_t depth;       /* those of a packed key */
    int64_t columns;     /* d, in whole vectors */
    int64_t query_pairs; /* per head */
    int64_t heads;       /* of all pictures */
    int64_t pack_parts;  /* of a head's queries */
    int64_t copies;      /* of dq: runs of key blocks */
} sizes;

/* First what is shared, per head, then what a thread has. */
typedef struct {
    uint32_t *q, *dout;             /* [tq][pairs] */
    uint32_t *q_pairs, *dout_pairs; /* [query_pairs][columns] */
    float *delta, *lse2, *dq;       /* [tq], dq [copies][heads][tq][columns] */
    uint32_t *kt, *vt;              /* [vectors][depth][16 keys] */
    uint32_t *k_pairs;              /* [KEY_PAIRS][columns] */
    float *dkt, *dvt;               /* [vectors][columns][16 keys] */
    float *p, *dp; /* [QUERIES][vectors][16]; then words of p and ds [QUERIES / 2][vectors][16] */
    uint32_t *ds;  /* [QUERIES][KEY_PAIRS] */
} places;

static sizes sizes_of(const attention_job *job)
{
    const int64_t heads = job->batch * job->heads, blocks = ceil_div(job->tk, BF16_BLOCK);
    return (sizes){.pairs = (job->d + 1) / 2,
                   .depth = round_up64(job->d, 32) / 2,
                   .columns = round_up64(job->d, BF16_LANES),
                   .query_pairs = (job->tq + 1) / 2,
                   .heads = heads,
                   .pack_parts = ceil_div(job->tq, PACK_ROWS),
                   .copies = attention_copies(heads, min64(blocks, MAX_COPIES))};
}

static size_t lay_out_shared(const attention_job *job, const sizes *z, char *base, places *at)
{
    const int64_t rows = z->heads * job->tq, pairs = z->heads * z->query_pairs;
    size_t used = 0;
    at->q = bf16_take(base, &used, rows * z->pairs);
    at->dout = bf16_take(base, &used, rows * z->pairs);
    at->q_pairs = bf16_take(base, &used, pairs * z->columns);
    at->dout_pairs = bf16_take(base, &used, pairs * z->columns);
    at->delta = bf16_take(base, &used, rows);
    at->lse2 = bf16_take(base, &used, rows);
    at->dq = bf16_take(base, &used, z->copies * rows * z->columns);
    return used;
}

static size_t lay_out_own(const sizes *z, char *base, places *at)
{
    size_t used = 0;
    at->kt = bf16_take(base, &used, BF16_BLOCK * z->depth);
    at->vt = bf16_take(base, &used, BF16_BLOCK * z->depth);
    at->k_pairs = bf16_take(base, &used, KEY_PAIRS * z->columns);
    at->dkt = bf16_take(base, &used, BF16_BLOCK * z->columns);
    at->dvt = bf16_take(base, &used, BF16_BLOCK * z->columns);
    at->p = bf16_take(base, &used, QUERIES * BF16_BLOCK);
    at->dp = bf16_take(base, &used, QUERIES * BF16_BLOCK);
    at->ds = bf16_take(base, &used, QUERIES * KEY_PAIRS);
    return used;
}

size_t bf16_gradient_shared(const attention_job *job)
{
    const sizes z = sizes_of(job);
    places at;
    return lay_out_shared(job, &z, NULL, &at);
}

size_t bf16_gradient_own(const attention_job *job)
{
    const sizes z = sizes_of(job);
    places at;
    return lay_out_own(&z, NULL, &at);
}

int64_t bf16_gradient_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    return phase == 1 ? z.heads * z.copies : z.heads * z.pack_parts;
}

/* sum of a_i b_i, i < d */
BF16_INLINE float dot(const uint16_t *a, const uint16_t *b, int64_t d)
{
    __m512 sum = _mm512_setzero_ps();
    for (int64_t c = 0; c < d; c += 32)
        sum =
            _mm512_dpbf16_ps(sum, (__m512bh)amx_load_row(a, c, d), (__m512bh)amx_load_row(b, c, d));
    return _mm512_reduce_add_ps(sum);
}

/* Phase 0: words of q and do both ways, D, and lse in units of log 2. */
BF16_TARGET static void pack(const attention_job *job, const sizes *z, const places *at,
                             int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, 2, z->pack_parts, task % z->pack_parts);
    const int64_t from = (b * job->tq + r.first) * job->width + h * job->d, w = job->width;
    const int64_t to = bh * job->tq + r.first, to_pair = bh * z->query_pairs + r.first / 2;
    const uint16_t *q = (const uint16_t *)job->q + from, *o = (const uint16_t *)job->o + from;
    const uint16_t *dout = (const uint16_t *)job->dout + from;
    bf16_pack_rows(q, w, r.rows, job->d, at->q + to * z->pairs, z->pairs);
    bf16_pack_rows(dout, w, r.rows, job->d, at->dout + to * z->pairs, z->pairs);
    bf16_pack_pairs(q, w, r.rows, job->d, at->q_pairs + to_pair * z->columns, z->columns);
    bf16_pack_pairs(dout, w, r.rows, job->d, at->dout_pairs + to_pair * z->columns, z->columns);
    for (int64_t i = 0; i < r.rows; i++) {
        at->delta[to + i] = dot(dout + i * w, o + i * w, job->d);
        at->lse2[to + i] = job->lse[to + i] * LOG2E;
    }
    for (int64_t copy = 0; copy < z->copies; copy++)
        memset(at->dq + (copy * z->heads * job->tq + to) * z->columns, 0,
               (size_t)(r.rows * z->columns) * sizeof(float));
}

/* Of a row of logits, which keys count: all before `end`. */
BF16_INLINE __mmask16 lanes_before(int64_t end, int n)
{
    const int64_t left = end - n * BF16_LANES;
    return left >= BF16_LANES ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0;
}

typedef struct {
    __m512 p, ds;
} weights;

/* A vector of a row: p = exp2(c s - lse2), ds = p (dp - D); 0 where `some` is not set, even if
 * that is no number. */
BF16_INLINE weights weigh(const float *s, const float *dp, __m512 c, __m512 lse2, __m512 delta,
                          __mmask16 some)
{
    const __m512 p = bf16_exp2(_mm512_fmsub_ps(_mm512_loadu_ps(s), c, lse2));
    const __m512 rest = _mm512_sub_ps(_mm512_loadu_ps(dp), delta);
    return (weights){_mm512_maskz_mov_ps(some, p), _mm512_maskz_mul_ps(some, p, rest)};
}

/* Row `row`, 32 keys rounded to bf16: those of even and of odd vectors, one after the other. */
BF16_INLINE __m512i round_keys(__m512 first, __m512 second)
{
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

/* The words of two such rows: of their first and of their second 16 keys. */
BF16_INLINE void store_pairs(float *to, __m512i even, __m512i odd)
{
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                         8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, low, odd));
    _mm512_storeu_si512(to + BF16_LANES, _mm512_permutex2var_epi16(even, high, odd));
}

/* Logits p and dp of a block of queries -> words of p and ds over pairs of queries, in place, and
 * of ds over pairs of keys. If `masked`, query i counts the keys before `end` + i, and of those
 * the first `keys`; else all of a full block. Vectors go by twos: one beyond the last is written as
 * zero. */
BF16_INLINE void probabilities(const places *at, int64_t rows, float c, const float *lse2,
                               const float *delta, bool masked, int64_t end, int64_t keys)
{
    const int vectors = masked ? (int)ceil_div(keys, BF16_LANES) : BF16_VECTORS;
    const __m512 factor = _mm512_set1_ps(c);
    for (int64_t i = 0; i < rows; i += 2) {
        /* A row beyond the last is hidden, whatever it holds. */
        const int64_t next = i + 1 < rows ? i + 1 : i;
        const int64_t end0 = min64(end + i, keys);
        const int64_t end1 = next > i ? min64(end + next, keys) : 0;
        const __m512 lse0 = _mm512_set1_ps(lse2[i]), lse1 = _mm512_set1_ps(lse2[next]);
        const __m512 delta0 = _mm512_set1_ps(delta[i]), delta1 = _mm512_set1_ps(delta[next]);
        const float *p = at->p + i * BF16_BLOCK, *dp = at->dp + i * BF16_BLOCK;
        float *to = at->p + i / 2 * BF16_BLOCK, *dto = at->dp + i / 2 * BF16_BLOCK;
        uint32_t *ds = at->ds + i * KEY_PAIRS;
#pragma GCC unroll 2
        for (int n = 0; n < vectors; n += 2) {
            weights w[2][2];
#pragma GCC unroll 2
            for (int t = 0; t < 2; t++) {
                const int64_t x = (n + t) * BF16_LANES, y = x + BF16_BLOCK;
                w[0][t] = weigh(p + x, dp + x, factor, lse0, delta0,
                                masked ? lanes_before(end0, n + t) : 0xffff);
                w[1][t] = weigh(p + y, dp + y, factor, lse1, delta1,
                                masked ? lanes_before(end1, n + t) : 0xffff);
            }
            const __m512i ds0 = round_keys(w[0][0].ds, w[0][1].ds);
            const __m512i ds1 = round_keys(w[1][0].ds, w[1][1].ds);
            _mm512_storeu_si512(ds + n * BF16_LANES / 2, ds0);
            _mm512_storeu_si512(ds + KEY_PAIRS + n * BF16_LANES / 2, ds1);
            /* These columns of rows i / 2 and before were read already. */
            store_pairs(to + n * BF16_LANES, round_keys(w[0][0].p, w[0][1].p),
                        round_keys(w[1][0].p, w[1][1].p));
            store_pairs(dto + n * BF16_LANES, ds0, ds1);
        }
    }
}

BF16_TARGET static void weigh_block(const attention_job *job, const places *at, int64_t to,
                                    attention_range queries, attention_range keys)
{
    const float c = job->scale * LOG2E, *lse2 = at->lse2 + to, *delta = at->delta + to;
    const int64_t seen = queries.first + 1 - keys.first; /* by the first query, if causal */
    const bool diagonal = job->causal && seen < keys.rows;
    if (diagonal || keys.rows < BF16_BLOCK || queries.rows % 2)
        probabilities(at, queries.rows, c, lse2, delta, true, diagonal ? seen : keys.rows,
                      keys.rows);
    else
        probabilities(at, queries.rows, c, lse2, delta, false, 0, 0);
}

/* dq [n][d] += ds [n][keys] k [keys][d] */
static void add_dq(const sizes *z, const places *at, float *dq, int64_t n, int64_t keys)
{
    const int64_t vectors = z->columns / BF16_LANES;
    const int64_t groups = ceil_div(vectors, BF16_VECTORS);
    for (int64_t g = 0; g < groups; g++) {
        const int64_t first = g * vectors / groups, end = (g + 1) * vectors / groups;
        bf16_multiply(&(bf16_product){.m = n,
                                      .pairs = (keys + 1) / 2,
                                      .vectors = (int)(end - first),
                                      .a = at->ds,
                                      .a_row = KEY_PAIRS,
                                      .a_pair = 1,
                                      .b = at->k_pairs + first * BF16_LANES,
                                      .b_pair = z->columns,
                                      .b_vector = BF16_LANES,
                                      .c = dq + first * BF16_LANES,
                                      .c_row = z->columns,
                                      .c_vector = BF16_LANES,
                                      .onto = ONTO_C});
    }
}

/* One block of queries of a head against the key block whose k', v' are in place. */
static void add_queries(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                        int64_t copy, attention_range queries, attention_range keys)
{
    const int vectors = (int)ceil_div(keys.rows, BF16_LANES);
    const int64_t to = bh * job->tq + queries.first;
    const int64_t to_pair = (bh * z->query_pairs + queries.first / 2) * z->columns;
    bf16_product rows = {.m = queries.rows,
                         .pairs = z->pairs,
                         .vectors = vectors,
                         .a_row = z->pairs,
                         .a_pair = 1,
                         .b_pair = BF16_LANES,
                         .b_vector = z->depth * BF16_LANES,
                         .c_row = BF16_BLOCK,
                         .c_vector = BF16_LANES,
                         .onto = ONTO_NOTHING};
    rows.a = at->q + to * z->pairs, rows.b = at->kt, rows.c = at->p;
    bf16_multiply(&rows);
    rows.a = at->dout + to * z->pairs, rows.b = at->vt, rows.c = at->dp;
    bf16_multiply(&rows);
    weigh_block(job, at, to, queries, keys);
    bf16_product columns = {.m = job->d,
                            .pairs = (queries.rows + 1) / 2,
                            .vectors = vectors,
                            .a_row = 1,
                            .a_pair = z->columns,
                            .b_pair = BF16_BLOCK,
                            .b_vector = BF16_LANES,
                            .c_row = BF16_LANES,
                            .c_vector = z->columns * BF16_LANES,
                            .onto = ONTO_C};
    columns.a = at->dout_pairs + to_pair, columns.b = (uint32_t *)at->p, columns.c = at->dvt;
    bf16_multiply(&columns);
    columns.a = at->q_pairs + to_pair, columns.b = (uint32_t *)at->dp, columns.c = at->dkt;
    bf16_multiply(&columns);
    float *dq = at->dq + (copy * z->heads * job->tq + to) * z->columns;
    add_dq(z, at, dq, queries.rows, keys.rows);
}

/* Keys' rows of an output: factor times the sums [vectors][columns][16 keys]. */
static void store_keys(const attention_job *job, const sizes *z, const float *sums, void *dst,
                       int64_t from, int64_t rows, float factor)
{
    float factors[BF16_LANES];
    for (int i = 0; i < BF16_LANES; i++) factors[i] = factor;
    for (int64_t i = 0; i < rows; i += BF16_LANES)
        amx_store_rows(sums + i * z->columns, BF16_LANES * BF16_LANES, factors, rows - i, job->d,
                       (uint16_t *)dst + from + i * job->width, job->width);
}

/* k', v' of a key block in, dk, dv out. */
static void one_key_block(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                          int64_t copy, attention_range keys)
{
    const int64_t b = bh / job->heads, h = bh % job->heads, w = job->width;
    const int64_t from = (b * job->tk + keys.first) * w + h * job->d;
    const uint16_t *k = (const uint16_t *)job->k + from, *v = (const uint16_t *)job->v + from;
    for (int64_t i = 0; i < keys.rows; i += BF16_LANES) {
        amx_pack_right(k + i * w, w, keys.rows - i, job->d, (uint16_t *)(at->kt + i * z->depth));
        amx_pack_right(v + i * w, w, keys.rows - i, job->d, (uint16_t *)(at->vt + i * z->depth));
    }
    bf16_pack_pairs(k, w, keys.rows, job->d, at->k_pairs, z->columns);
    const size_t block = (size_t)(BF16_BLOCK * z->columns) * sizeof(float);
    memset(at->dkt, 0, block);
    memset(at->dvt, 0, block);
    /* Causal: no query before the first key sees it. */
    const int64_t start = job->causal ? keys.first / QUERIES * QUERIES : 0;
    for (int64_t i = start; i < job->tq; i += QUERIES) {
        const attention_range queries = {i, min64(QUERIES, job->tq - i)};
        add_queries(job, z, at, bh, copy, queries, keys);
    }
    store_keys(job, z, at->dkt, job->out[1], from, keys.rows, job->scale);
    store_keys(job, z, at->dvt, job->out[2], from, keys.rows, 1);
}

/* Phase 1: key blocks of nearly equal width, as one of few vectors waits for its own sums. */
static void run_of_keys(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                        int64_t copy)
{
    const attention_range run = attention_cut(job->tk, BF16_BLOCK, z->copies, copy);
    const int64_t blocks = ceil_div(run.rows, BF16_BLOCK);
    for (int64_t i = 0; i < blocks; i++) {
        attention_range keys = attention_cut(run.rows, BF16_LANES, blocks, i);
        keys.first += run.first;
        one_key_block(job, z, at, bh, copy, keys);
    }
}

/* Phase 2: dq from its copies. */
static void finish_dq(const attention_job *job, const sizes *z, const places *at, int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, 1, z->pack_parts, task % z->pack_parts);
    const int64_t step = z->heads * job->tq * z->columns, count = r.rows * z->columns;
    float *restrict dq = at->dq + (bh * job->tq + r.first) * z->columns;
    for (int64_t copy = 1; copy < z->copies; copy++)
        for (int64_t i = 0; i < count; i++) dq[i] += dq[copy * step + i];
    attention_store_rows(job, job->out[0], b * job->tq + r.first, r.rows, h, dq, z->columns,
                         job->scale);
}

void bf16_gradient_run(const attention_job *job, int phase, int64_t task)
{
    const sizes z = sizes_of(job);
    places at;
    lay_out_shared(job, &z, job->shared, &at);
    lay_out_own(&z, job->own, &at);
    if (phase == 0) {
        pack(job, &z, &at, task);
    } else if (phase == 1) {
        run_of_keys(job, &z, &at, task / z.copies, task % z.copies);
    } else {
        finish_dq(job, &z, &at, task);
    }
}
#endif
