/* attention in fp32, any instruction set: a task is a block of queries of one head.
 *
 * Queries are the lanes: logits [keys][queries], so that maximum and sum need no shuffles and the
 * head width d is never padded. The result [d][queries] stays in the first-level cache. */
#include <math.h>

#include "backend/cpu/attention_f32.h"
#include "backend/cpu/attention_internal.h"

enum { KEYS = 64, PACK_ROWS = 256 };

static const float LOG2E = 1.44269504088896341f, LN2 = 0.69314718055994531f;
/* What masked logits become: finite, and nothing real comes near. */
static const float MASKED = -1e30f;

typedef struct {
    int64_t lanes, ld; /* queries in a full block; floats in a packed row */
    int64_t blocks, pack_parts;
} sizes;

typedef struct {
    float *q, *o, *s, *rows, *max, *sum, *keep;
} own_parts;

static sizes sizes_of(const attention_job *job)
{
    const attention_f32_steps *steps = job->steps;
    const int64_t lanes = (int64_t)steps->lanes * steps->max_vectors;
    return (sizes){.lanes = lanes,
                   .ld = round_up64(job->d, 16),
                   .blocks = ceil_div(job->tq, lanes),
                   .pack_parts = ceil_div(job->tk, PACK_ROWS)};
}

/* With base NULL only counts: returns the floats that the parts take. */
static size_t lay_out(const attention_job *job, float *base, own_parts *parts)
{
    const sizes z = sizes_of(job);
    const size_t each[] = {(size_t)(job->d * z.lanes),
                           (size_t)(job->d * z.lanes),
                           (size_t)(KEYS * z.lanes),
                           (size_t)(z.ld * z.lanes),
                           (size_t)z.lanes,
                           (size_t)z.lanes,
                           (size_t)z.lanes};
    float **const place[] = {&parts->q,   &parts->o,   &parts->s,   &parts->rows,
                             &parts->max, &parts->sum, &parts->keep};
    size_t used = 0;
    for (int i = 0; i < 7; i++) {
        if (base) *place[i] = base + used;
        used += round_up(each[i], 16);
    }
    return used;
}

size_t attention_f32_shared(const attention_job *job)
{
    const sizes z = sizes_of(job);
    return (size_t)(2 * job->batch * job->heads * job->tk * z.ld) * sizeof(float);
}

size_t attention_f32_own(const attention_job *job)
{
    own_parts parts = {.q = NULL};
    return lay_out(job, NULL, &parts) * sizeof(float);
}

int64_t attention_f32_tasks(const attention_job *job, int phase)
{
    const sizes z = sizes_of(job);
    if (phase == 0) return job->batch * job->heads * z.pack_parts;
    return phase == 1 ? job->batch * job->heads * z.blocks : 0;
}

/* Packed keys of one head [tk][ld]; the values of all heads lie behind the keys of all heads. */
static float *packed(const attention_job *job, const sizes *z, int64_t bh, bool values)
{
    const int64_t all = job->batch * job->heads;
    return (float *)job->shared + ((values ? all : 0) + bh) * job->tk * z->ld;
}

static void pack(const attention_job *job, int64_t task)
{
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.pack_parts, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tk, 1, z.pack_parts, task % z.pack_parts);
    const int64_t row = b * job->tk + r.first, to = r.first * z.ld;
    attention_load_rows(job, job->k, row, r.rows, h, packed(job, &z, bh, false) + to, z.ld);
    attention_load_rows(job, job->v, row, r.rows, h, packed(job, &z, bh, true) + to, z.ld);
}

/* Key j is hidden from the queries before it. */
static void mask(float *s, int64_t key, int64_t keys, int64_t query, int64_t lanes, int64_t ld)
{
    for (int64_t j = 0; j < keys; j++) {
        const int64_t hidden = min64(key + j - query, lanes);
        for (int64_t i = 0; i < hidden; i++) s[j * ld + i] = MASKED;
    }
}

/* All keys that the block of queries sees, into o [d][lanes], max and sum. */
static void attend(const attention_job *job, const sizes *z, own_parts *own, int64_t bh,
                   attention_range r, int vectors)
{
    const attention_f32_steps *steps = job->steps;
    const float *k = packed(job, z, bh, false), *v = packed(job, z, bh, true);
    const int64_t keys = job->causal ? min64(job->tk, r.first + r.rows) : job->tk;
    attention_product logits = {.depth = job->d,
                                .vectors = vectors,
                                .a_row = z->ld,
                                .a_column = 1,
                                .b = own->q,
                                .b_row = z->lanes,
                                .c = own->s,
                                .c_row = z->lanes,
                                .onto = ONTO_NOTHING};
    attention_product values = {.m = job->d,
                                .vectors = vectors,
                                .a_row = 1,
                                .a_column = z->ld,
                                .b = own->s,
                                .b_row = z->lanes,
                                .c = own->o,
                                .c_row = z->lanes,
                                .keep = own->keep};
    for (int64_t key = 0; key < keys; key += KEYS) {
        const int64_t n = min64(KEYS, keys - key);
        logits.a = k + key * z->ld;
        logits.m = n;
        steps->product(&logits);
        if (job->causal && key + n > r.first + 1)
            mask(own->s, key, n, r.first, vectors * steps->lanes, z->lanes);
        steps->softmax(own->s, n, z->lanes, vectors, fabsf(job->scale) * LOG2E, own->max, own->sum,
                       own->keep);
        values.a = v + key * z->ld;
        values.depth = n;
        values.onto = key ? ONTO_KEPT : ONTO_NOTHING;
        steps->product(&values);
    }
}

static void attend_block(const attention_job *job, int64_t task)
{
    const attention_f32_steps *steps = job->steps;
    const sizes z = sizes_of(job);
    const int64_t bh = task / z.blocks, b = bh / job->heads, h = bh % job->heads;
    const attention_range r = attention_cut(job->tq, steps->lanes, z.blocks, task % z.blocks);
    const int vectors = (int)ceil_div(r.rows, steps->lanes);
    const int64_t row = b * job->tq + r.first;
    own_parts own = {.q = NULL};
    lay_out(job, (float *)job->own, &own);

    attention_load_rows(job, job->q, row, r.rows, h, own.rows, z.ld);
    for (int64_t i = r.rows * z.ld; i < vectors * steps->lanes * z.ld; i++) own.rows[i] = 0;
    /* softmax wants a factor >= 0, to find the maximum before it; q takes the sign. */
    if (job->scale < 0)
        for (int64_t i = 0; i < r.rows * z.ld; i++) own.rows[i] = -own.rows[i];
    steps->transpose(own.rows, z.ld, vectors * steps->lanes, job->d, own.q, z.lanes);
    for (int64_t i = 0; i < z.lanes; i++) own.max[i] = MASKED, own.sum[i] = 0;
    attend(job, &z, &own, bh, r, vectors);

    float *lse = job->lse_out + bh * job->tq + r.first;
    const float c = fabsf(job->scale) * LOG2E;
    for (int64_t i = 0; i < r.rows; i++) lse[i] = (c * own.max[i] + log2f(own.sum[i])) * LN2;
    for (int64_t i = 0; i < vectors * steps->lanes; i++) own.keep[i] = 1 / own.sum[i];
    for (int64_t j = 0; j < job->d; j++)
        for (int64_t i = 0; i < vectors * steps->lanes; i++) own.o[j * z.lanes + i] *= own.keep[i];
    steps->transpose(own.o, z.lanes, job->d, vectors * steps->lanes, own.rows, z.ld);
    attention_store_rows(job, job->out[0], row, r.rows, h, own.rows, z.ld, 1);
}

void attention_f32_run(const attention_job *job, int phase, int64_t task)
{
    if (phase == 0)
        pack(job, task);
    else
        attend_block(job, task);
}
