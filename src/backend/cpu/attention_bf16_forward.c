/* attention in bf16 on AVX512-BF16: a task is a block of queries of one head.
 *
 * Queries are the lanes: logits [keys][queries] in fp32, so that maximum and sum need no shuffles;
 * the probabilities of two keys become a row of words in their place. The result [d][queries]
 * stays in the cache until all keys are seen. */
#if defined(__x86_64__)
#include <math.h>

#include "backend/cpu/attention_bf16.h"

enum { KEYS = 128, PACK_ROWS = 256 };

static const float LOG2E = 1.44269504088896341f, LN2 = 0.69314718055994531f;
/* What masked logits become: finite, and nothing real comes near. */
static const float MASKED = -1e30f;

typedef struct {
    int64_t pairs;      /* along d */
    int64_t depth;      /* those of a packed query */
    int64_t columns;    /* d, in whole vectors */
    int64_t key_pairs;  /* per head */
    int64_t heads;      /* of all pictures */
    int64_t blocks;     /* of queries, per head */
    int64_t pack_parts; /* per head */
} sizes;

typedef struct {
    uint32_t *q;             /* [vectors][depth][16 queries] */
    float *s;                /* [KEYS][vectors][16]; then words [KEYS / 2][vectors][16] */
    float *o;                /* [vectors][columns][16] */
    float *max, *sum, *keep; /* [BF16_BLOCK]; keep: what older sums are worth now */
} places;

static sizes sizes_of(const attention_job *job)
{
    return (sizes){.pairs = (job->d + 1) / 2,
                   .depth = round_up64(job->d, 32) / 2,
                   .columns = round_up64(job->d, BF16_LANES),
                   .key_pairs = (job->tk + 1) / 2,
                   .heads = job->batch * job->heads,
                   .blocks = ceil_div(job->tq, BF16_BLOCK),
                   .pack_parts = ceil_div(job->tk, PACK_ROWS)};
}

static size_t lay_out(const sizes *z, char *base, places *at)
{
    size_t used = 0;
    at->q = bf16_take(base, &used, BF16_BLOCK * z->depth);
    at->s = bf16_take(base, &used, KEYS * BF16_BLOCK);
    at->o = bf16_take(base, &used, BF16_BLOCK * z->columns);
    at->max = bf16_take(base, &used, BF16_BLOCK);
    at->sum = bf16_take(base, &used, BF16_BLOCK);
    at->keep = bf16_take(base, &used, BF16_BLOCK);
    return used;
}

size_t bf16_forward_own(const attention_job *job)
{
    const sizes z = sizes_of(job);
    places at;
    return lay_out(&z, NULL, &at);
}

/* Keys of a head: [tk][pairs]. Behind those of all heads the values: [key_pairs][columns]. */
static uint32_t *keys_of(const attention_job *job, const sizes *z, int64_t bh)
{
    return (uint32_t *)job->shared + bh * job->tk * z->pairs;
}

static uint32_t *values_of(const attention_job *job, const sizes *z, int64_t bh)
{
    const int64_t keys = round_up64(z->heads * job->tk * z->pairs, BF16_LANES);
    return (uint32_t *)job->shared + keys + bh * z->key_pairs * z->columns;
}

size_t bf16_forward_shared(const attention_job *job)
{
    const sizes z = sizes_of(job);
    const int64_t keys = round_up64(z.heads * job->tk * z.pairs, BF16_LANES);
    return (size_t)(keys + z.heads * z.key_pairs * z.columns) * sizeof(uint32_t);
}

int64_t bf16_forward_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    if (phase == 0) return z.heads * z.pack_parts;
    return phase == 1 ? z.heads * z.blocks : 0;
}

static void pack(const attention_job *job, int64_t task)
{
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tk, 2, z.pack_parts, task % z.pack_parts);
    const int64_t from = (b * job->tk + r.first) * job->width + h * job->d;
    bf16_pack_rows((const uint16_t *)job->k + from, job->width, r.rows, job->d,
                   keys_of(job, &z, bh) + r.first * z.pairs, z.pairs);
    bf16_pack_pairs((const uint16_t *)job->v + from, job->width, r.rows, job->d,
                    values_of(job, &z, bh) + r.first / 2 * z.columns, z.columns);
}

/* Key j is hidden from the queries before it. */
static void mask(float *s, int64_t key, int64_t keys, int64_t query)
{
    for (int64_t j = 0; j < keys; j++) {
        const int64_t hidden = min64(key + j - query, BF16_BLOCK);
        for (int64_t i = 0; i < hidden; i++) s[j * BF16_BLOCK + i] = MASKED;
    }
}

/* Two rows of 16 as a row of pairs, rounded. */
BF16_INLINE __m512i pair(__m512 even, __m512 odd)
{
    const __m512i side_by_side =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(side_by_side, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* One block of an even number of keys in the online softmax, in place: raw logits -> pairs of
 * exp2(c s - c max). */
BF16_TARGET static void softmax(const places *at, int64_t keys, int vectors, float c)
{
    const __m512 factor = _mm512_set1_ps(c), minus = _mm512_set1_ps(-c);
    for (int n = 0; n < vectors; n++) {
        float *s = at->s + n * BF16_LANES, *max = at->max + n * BF16_LANES;
        float *sum = at->sum + n * BF16_LANES;
        const __m512 before = _mm512_loadu_ps(max);
        __m512 top0 = before, top1 = before;
#pragma GCC unroll 4
        for (int64_t j = 0; j < keys; j += 2) {
            top0 = _mm512_max_ps(top0, _mm512_loadu_ps(s + j * BF16_BLOCK));
            top1 = _mm512_max_ps(top1, _mm512_loadu_ps(s + (j + 1) * BF16_BLOCK));
        }
        const __m512 top = _mm512_max_ps(top0, top1), shift = _mm512_mul_ps(minus, top);
        const __m512 kept = bf16_exp2(_mm512_fmadd_ps(before, factor, shift));
        __m512 total0 = _mm512_mul_ps(kept, _mm512_loadu_ps(sum)), total1 = _mm512_setzero_ps();
#pragma GCC unroll 4
        for (int64_t j = 0; j < keys; j += 2) {
            const __m512 x0 = _mm512_loadu_ps(s + j * BF16_BLOCK);
            const __m512 x1 = _mm512_loadu_ps(s + (j + 1) * BF16_BLOCK);
            const __m512 p0 = bf16_exp2(_mm512_fmadd_ps(x0, factor, shift));
            const __m512 p1 = bf16_exp2(_mm512_fmadd_ps(x1, factor, shift));
            total0 = _mm512_add_ps(total0, p0);
            total1 = _mm512_add_ps(total1, p1);
            /* Row j / 2 of this vector was read before. */
            _mm512_storeu_si512(s + j / 2 * BF16_BLOCK, pair(p0, p1));
        }
        _mm512_storeu_ps(max, top);
        _mm512_storeu_ps(sum, _mm512_add_ps(total0, total1));
        _mm512_storeu_ps(at->keep + n * BF16_LANES, kept);
    }
}

/* All keys that the block of queries sees, into o, max and sum. */
static void attend(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                   attention_range r, int vectors)
{
    const uint32_t *k = keys_of(job, z, bh), *v = values_of(job, z, bh);
    const int64_t keys = job->causal ? min64(job->tk, r.first + r.rows) : job->tk;
    const int64_t blocks = ceil_div(keys, KEYS);
    bf16_product logits = {.pairs = z->pairs,
                           .vectors = vectors,
                           .a_row = z->pairs,
                           .a_pair = 1,
                           .b = at->q,
                           .b_pair = BF16_LANES,
                           .b_vector = z->depth * BF16_LANES,
                           .c = at->s,
                           .c_row = BF16_BLOCK,
                           .c_vector = BF16_LANES,
                           .onto = ONTO_NOTHING};
    bf16_product values = {.m = job->d,
                           .vectors = vectors,
                           .a_row = 1,
                           .a_pair = z->columns,
                           .b = (const uint32_t *)at->s,
                           .b_pair = BF16_BLOCK,
                           .b_vector = BF16_LANES,
                           .c = at->o,
                           .c_row = BF16_LANES,
                           .c_vector = z->columns * BF16_LANES,
                           .keep = at->keep};
    for (int64_t block = 0; block < blocks; block++) {
        const attention_range n = attention_cut(keys, 2, blocks, block);
        logits.a = k + n.first * z->pairs;
        logits.m = n.rows;
        bf16_multiply(&logits);
        if (job->causal && n.first + n.rows > r.first + 1) mask(at->s, n.first, n.rows, r.first);
        if (n.rows % 2)
            for (int i = 0; i < BF16_BLOCK; i++) at->s[n.rows * BF16_BLOCK + i] = MASKED;
        softmax(at, round_up64(n.rows, 2), vectors, fabsf(job->scale) * LOG2E);
        values.a = v + n.first / 2 * z->columns;
        values.pairs = (n.rows + 1) / 2;
        values.onto = block ? ONTO_KEPT : ONTO_NOTHING;
        bf16_multiply(&values);
    }
}

BF16_TARGET static void load_queries(const attention_job *job, const sizes *z, const places *at,
                                     const uint16_t *q, int64_t rows, int vectors)
{
    const int64_t step = z->depth * BF16_LANES;
    for (int n = 0; n < vectors; n++)
        amx_pack_right(q + n * BF16_LANES * job->width, job->width, rows - n * BF16_LANES, job->d,
                       (uint16_t *)(at->q + n * step));
    /* softmax wants a factor >= 0, to find the maximum before it; q takes the sign. */
    if (job->scale < 0)
        for (int64_t i = 0; i < vectors * step; i++) at->q[i] ^= 0x80008000u;
    for (int i = 0; i < BF16_BLOCK; i++) at->max[i] = MASKED, at->sum[i] = 0;
}

static void attend_block(const attention_job *job, int64_t task)
{
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.blocks, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, BF16_LANES, z.blocks, task % z.blocks);
    const int vectors = (int)ceil_div(r.rows, BF16_LANES);
    const int64_t from = (b * job->tq + r.first) * job->width + h * job->d;
    places at;
    lay_out(&z, job->own, &at);

    load_queries(job, &z, &at, (const uint16_t *)job->q + from, r.rows, vectors);
    attend(job, &z, &at, bh, r, vectors);

    const float c = fabsf(job->scale) * LOG2E;
    float *lse = job->lse_out + bh * job->tq + r.first;
    for (int64_t i = 0; i < r.rows; i++) lse[i] = (c * at.max[i] + log2f(at.sum[i])) * LN2;
    for (int64_t i = 0; i < r.rows; i++) at.keep[i] = 1 / at.sum[i];
    for (int n = 0; n < vectors; n++) {
        const int64_t row = n * BF16_LANES;
        amx_store_rows(at.o + row * z.columns, BF16_LANES * BF16_LANES, at.keep + row, r.rows - row,
                       job->d, (uint16_t *)job->out[0] + from + row * job->width, job->width);
    }
}

void bf16_forward_run(const attention_job *job, int phase, int64_t task)
{
    if (phase == 0)
        pack(job, task);
    else
        attend_block(job, task);
}
#endif
