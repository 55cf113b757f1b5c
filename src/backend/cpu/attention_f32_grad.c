/* attention_grad in fp32, any instruction set: a task is a run of key blocks of one head.
 *
 *     p = exp(s - lse)     ds = p (do v' - D), D = rowsum(do o)     Dao et al., arXiv:2205.14135
 *     dv = p' do           dk = scale ds' q                         dq = scale ds k
 *
 * Keys are the lanes: [queries][keys], so that dk and dv are summed as [d][keys] in the cache and
 * leave it once. A task adds its share of dq to a copy of its own; phase 2 adds the copies in a
 * fixed order. With enough heads there is one copy. */
#include <math.h>
#include <string.h>

#include "backend/cpu/attention_f32.h"
#include "backend/cpu/attention_internal.h"

enum { QUERIES = 64, PACK_ROWS = 256, MAX_COPIES = 16 };

static const float LOG2E = 1.44269504088896341f;

typedef struct {
    int64_t lanes, ld;
    int64_t heads;      /* of all pictures */
    int64_t pack_parts; /* of a head's queries */
    int64_t copies;     /* of dq: runs of key blocks */
} sizes;

typedef struct {
    float *q, *dout, *delta, *lse2, *dq; /* shared: [heads][tq][ld], dq [copies][heads][tq][ld] */
    float *k, *kt, *vt, *dkt, *dvt, *p, *dp;
} places;

static sizes sizes_of(const attention_job *job)
{
    const attention_f32_steps *steps = job->steps;
    sizes z = {.lanes = (int64_t)steps->lanes * steps->max_vectors,
               .ld = round_up64(job->d, 16),
               .heads = job->batch * job->heads,
               .pack_parts = ceil_div(job->tq, PACK_ROWS)};
    const int64_t blocks = ceil_div(job->tk, z.lanes);
    z.copies = attention_copies(z.heads, min64(blocks, MAX_COPIES));
    return z;
}

static size_t take(float *base, size_t *used, float **place, int64_t count)
{
    if (base) *place = base + *used;
    return *used += (size_t)round_up64(count, 16);
}

/* With NULL only counts floats. */
static size_t lay_out_shared(const attention_job *job, float *base, places *at)
{
    const sizes z = sizes_of(job);
    size_t used = 0;
    take(base, &used, &at->q, z.heads * job->tq * z.ld);
    take(base, &used, &at->dout, z.heads * job->tq * z.ld);
    take(base, &used, &at->delta, z.heads * job->tq);
    take(base, &used, &at->lse2, z.heads * job->tq);
    return take(base, &used, &at->dq, z.copies * z.heads * job->tq * z.ld);
}

static size_t lay_out_own(const attention_job *job, float *base, places *at)
{
    const sizes z = sizes_of(job);
    size_t used = 0;
    take(base, &used, &at->k, z.lanes * z.ld);
    take(base, &used, &at->kt, job->d * z.lanes);
    take(base, &used, &at->vt, job->d * z.lanes);
    take(base, &used, &at->dkt, job->d * z.lanes);
    take(base, &used, &at->dvt, job->d * z.lanes);
    take(base, &used, &at->p, QUERIES * z.lanes);
    return take(base, &used, &at->dp, QUERIES * z.lanes);
}

size_t attention_f32_grad_shared(const attention_job *job)
{
    places at = {.q = NULL};
    return lay_out_shared(job, NULL, &at) * sizeof(float);
}

size_t attention_f32_grad_own(const attention_job *job)
{
    places at = {.q = NULL};
    return lay_out_own(job, NULL, &at) * sizeof(float);
}

/* The places in memory that whoever runs a task has set. */
__attribute__((nonnull)) static places places_in(const attention_job *job, float *shared,
                                                 float *own)
{
    places at = {.q = NULL};
    lay_out_shared(job, shared, &at);
    lay_out_own(job, own, &at);
    return at;
}

int64_t attention_f32_grad_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    return phase == 1 ? z.heads * z.copies : z.heads * z.pack_parts;
}

/* Phase 0: fp32 rows of q and do, D, and lse in units of log 2. */
static void pack(const attention_job *job, const sizes *z, const places *at, int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, 1, z->pack_parts, task % z->pack_parts);
    const int64_t from = b * job->tq + r.first, to = bh * job->tq + r.first;
    float *q = at->q + to * z->ld, *dout = at->dout + to * z->ld;
    /* q's place holds o for a moment. */
    attention_load_rows(job, job->dout, from, r.rows, h, dout, z->ld);
    attention_load_rows(job, job->o, from, r.rows, h, q, z->ld);
    for (int64_t i = 0; i < r.rows; i++) {
        float sum = 0;
        for (int64_t c = 0; c < z->ld; c++) sum += q[i * z->ld + c] * dout[i * z->ld + c];
        at->delta[to + i] = sum;
        at->lse2[to + i] = job->lse[to + i] * LOG2E;
    }
    attention_load_rows(job, job->q, from, r.rows, h, q, z->ld);
    for (int64_t copy = 0; copy < z->copies; copy++)
        memset(at->dq + (copy * z->heads * job->tq + to) * z->ld, 0,
               (size_t)(r.rows * z->ld) * sizeof(float));
}

/* Query i does not see the keys behind it. */
static void mask(float *p, float *dp, int64_t query, int64_t queries, int64_t key, int64_t lanes,
                 int64_t ld)
{
    for (int64_t i = 0; i < queries; i++) {
        int64_t j = query + i - key + 1;
        for (j = j < 0 ? 0 : j; j < lanes; j++) p[i * ld + j] = dp[i * ld + j] = 0;
    }
}

/* dq [n][d] += ds [n][keys] k [keys][d] */
static void add_dq(const attention_job *job, const sizes *z, const places *at, float *dq, int64_t n,
                   int64_t keys)
{
    const attention_f32_steps *steps = job->steps;
    const int64_t vectors = ceil_div(job->d, steps->lanes);
    const int64_t groups = ceil_div(vectors, steps->max_vectors);
    for (int64_t g = 0; g < groups; g++) {
        const int64_t first = g * vectors / groups, end = (g + 1) * vectors / groups;
        const int64_t column = first * steps->lanes;
        steps->product(&(attention_product){.m = n,
                                            .depth = keys,
                                            .vectors = (int)(end - first),
                                            .a = at->dp,
                                            .a_row = z->lanes,
                                            .a_column = 1,
                                            .b = at->k + column,
                                            .b_row = z->ld,
                                            .c = dq + column,
                                            .c_row = z->ld,
                                            .onto = ONTO_C});
    }
}

/* One block of queries against the key block whose k', v' are in place. to: the queries' row. */
static void add_queries(const attention_job *job, const sizes *z, const places *at, int64_t copy,
                        int64_t to, attention_range queries, attention_range keys)
{
    const attention_f32_steps *steps = job->steps;
    const int vectors = (int)ceil_div(keys.rows, steps->lanes);
    const float *q = at->q + to * z->ld, *dout = at->dout + to * z->ld;
    attention_product rows = {.m = queries.rows,
                              .depth = job->d,
                              .vectors = vectors,
                              .a_row = z->ld,
                              .a_column = 1,
                              .b_row = z->lanes,
                              .c_row = z->lanes,
                              .onto = ONTO_NOTHING};
    rows.a = q, rows.b = at->kt, rows.c = at->p;
    steps->product(&rows);
    rows.a = dout, rows.b = at->vt, rows.c = at->dp;
    steps->product(&rows);
    steps->probabilities(at->p, at->dp, queries.rows, z->lanes, vectors, job->scale * LOG2E,
                         at->lse2 + to, at->delta + to);
    if (job->causal && keys.first + keys.rows > queries.first + 1)
        mask(at->p, at->dp, queries.first, queries.rows, keys.first, vectors * steps->lanes,
             z->lanes);
    attention_product columns = {.m = job->d,
                                 .depth = queries.rows,
                                 .vectors = vectors,
                                 .a_row = 1,
                                 .a_column = z->ld,
                                 .b_row = z->lanes,
                                 .c_row = z->lanes,
                                 .onto = ONTO_C};
    columns.a = dout, columns.b = at->p, columns.c = at->dvt;
    steps->product(&columns);
    columns.a = q, columns.b = at->dp, columns.c = at->dkt;
    steps->product(&columns);
    add_dq(job, z, at, at->dq + (copy * z->heads * job->tq + to) * z->ld, queries.rows, keys.rows);
}

/* k', v' of a key block in, dk, dv out. */
static void one_key_block(const attention_job *job, const sizes *z, const places *at, int64_t bh,
                          int64_t copy, attention_range keys)
{
    const attention_f32_steps *steps = job->steps;
    const int64_t b = bh / job->heads, h = bh % job->heads, row = b * job->tk + keys.first;
    const size_t block = (size_t)(job->d * z->lanes) * sizeof(float);
    memset(at->k, 0, (size_t)(z->lanes * z->ld) * sizeof(float));
    attention_load_rows(job, job->v, row, keys.rows, h, at->k, z->ld);
    steps->transpose(at->k, z->ld, z->lanes, job->d, at->vt, z->lanes);
    attention_load_rows(job, job->k, row, keys.rows, h, at->k, z->ld);
    steps->transpose(at->k, z->ld, z->lanes, job->d, at->kt, z->lanes);
    memset(at->dkt, 0, block);
    memset(at->dvt, 0, block);
    const int64_t start = job->causal ? keys.first / QUERIES * QUERIES : 0;
    for (int64_t i = start; i < job->tq; i += QUERIES) {
        const attention_range queries = {i, min64(QUERIES, job->tq - i)};
        add_queries(job, z, at, copy, bh * job->tq + i, queries, keys);
    }
    /* k's place is free now: the results pass through it. */
    steps->transpose(at->dkt, z->lanes, job->d, z->lanes, at->k, z->ld);
    attention_store_rows(job, job->out[1], row, keys.rows, h, at->k, z->ld, job->scale);
    steps->transpose(at->dvt, z->lanes, job->d, z->lanes, at->k, z->ld);
    attention_store_rows(job, job->out[2], row, keys.rows, h, at->k, z->ld, 1);
}

/* Phase 2: dq from its copies. */
static void finish_dq(const attention_job *job, const sizes *z, const places *at, int64_t task)
{
    const int64_t bh = task / z->pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, 1, z->pack_parts, task % z->pack_parts);
    const int64_t step = z->heads * job->tq * z->ld, count = r.rows * z->ld;
    float *restrict dq = at->dq + (bh * job->tq + r.first) * z->ld;
    for (int64_t copy = 1; copy < z->copies; copy++)
        for (int64_t i = 0; i < count; i++) dq[i] += dq[copy * step + i];
    attention_store_rows(job, job->out[0], b * job->tq + r.first, r.rows, h, dq, z->ld, job->scale);
}

void attention_f32_grad_run(const attention_job *job, int phase, int64_t task)
{
    const sizes z = sizes_of(job);
    const places at = places_in(job, (float *)job->shared, (float *)job->own);
    if (phase == 0) {
        pack(job, &z, &at, task);
    } else if (phase == 1) {
        const int64_t bh = task / z.copies, copy = task % z.copies;
        const attention_range run = attention_cut(job->tk, z.lanes, z.copies, copy);
        for (int64_t key = 0; key < run.rows; key += z.lanes) {
            const attention_range keys = {run.first + key, min64(z.lanes, run.rows - key)};
            one_key_block(job, &z, &at, bh, copy, keys);
        }
    } else {
        finish_dq(job, &z, &at, task);
    }
}
