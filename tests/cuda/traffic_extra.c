#include "cuda/traffic_extra.h"

#include "comm/exact.h"
#include "cuda/gpu.h"
#include "graph/op.h"

soda_status traffic_extra_nodes(soda_dtype dtype, soda_graph **graph)
{
    enum { SIDE = 64, WIDTH = 512, TOKENS = 77, WORDS = 49408, TEXT = 768 };
    soda_id q, k, v, ids, table, dy, dtable;
    soda_graph *g;
    TRY(graph_create(dtype, graph));
    g = *graph;
    q = graph_input(g, "q", dtype, SHAPE(1, SIDE * SIDE, WIDTH));
    k = graph_input(g, "k", dtype, SHAPE(1, SIDE * SIDE, WIDTH));
    v = graph_input(g, "v", dtype, SHAPE(1, SIDE * SIDE, WIDTH));
    ids = graph_input(g, "ids", SODA_I32, SHAPE(1, TOKENS));
    table = graph_input(g, "table", dtype, SHAPE(WORDS, TEXT));
    dy = graph_input(g, "dy", dtype, SHAPE(1, TOKENS, TEXT));
    graph_attention(g, q, k, v, 1, false);
    graph_embedding(g, ids, table);
    const soda_id in[] = {dy, ids, table};
    TRY(graph_append(g, OP_embedding_grad, NULL, in, 3, &dtable));
    return graph_status(g);
}

/* ---- the update ---- */
enum { N = 1 << 20, MATRICES = 16, WIDEST = 64 };
enum { EXACT_ADD, EXACT_ROUND, PLAIN_ADD, NORM, CLIP, ADAMW, ROTATIONS };
const char *const traffic_updates[TRAFFIC_UPDATES] = {"exact_add 1048576",
                                                      "exact_round 1048576",
                                                      "plain_add 1048576",
                                                      "norm 1048576",
                                                      "clip 1048576",
                                                      "adamw 1048576",
                                                      "rotations 16 of 64x64, Adam, Cayley"};

typedef struct { /* on the device */
    float *x, *g, *m, *v;
    int64_t *limbs;
    double *norm, *drift;
    update_rules *rules;
    update_notes notes;
} room;

static soda_status take(soda_device *d, size_t bytes, void **memory)
{
    TRY(d->alloc(d, bytes, memory));
    return d->clear(d, *memory, bytes);
}

static soda_status take_room(soda_device *d, room *r)
{
    const stiefel_options rotation = {.kind = STIEFEL_ADAM,
                                      .retraction = STIEFEL_CAYLEY,
                                      .lr = 1e-3,
                                      .beta1 = 0.9,
                                      .beta2 = 0.99,
                                      .eps = 1e-8};
    const adamw_options spectrum = {1e-3, 0.9, 0.99, 1e-8, 0.01};
    const update_rules rules = {stiefel_rule_of(&rotation, 1), adamw_rule_of(&spectrum, 1), 1};
    float **const arrays[] = {&r->x, &r->g, &r->m, &r->v};
    for (int i = 0; i < 4; i++) TRY(take(d, N * sizeof(float), (void **)arrays[i]));
    TRY(take(d, ((size_t)N * EXACT_LIMBS + 1) * sizeof *r->limbs, (void **)&r->limbs));
    TRY(take(d, sizeof *r->norm, (void **)&r->norm));
    TRY(take(d, sizeof *r->drift, (void **)&r->drift));
    TRY(take(d, sizeof *r->rules, (void **)&r->rules));
    TRY(take(d, sizeof *r->notes.list, (void **)&r->notes.list));
    TRY(take(d, sizeof *r->notes.count, (void **)&r->notes.count));
    return d->upload(d, r->rules, &rules, sizeof rules);
}

/* Sums of zeros would touch no limb, and a norm below the limit would clip nothing. */
static soda_status fill_gradients(soda_device *d, const room *r)
{
    static float ones[N];
    const double norm = 10;
    TRY(d->upload(d, r->norm, &norm, sizeof norm));
    for (int64_t i = 0; i < N; i++) ones[i] = 1;
    TRY(d->upload(d, r->x, ones, sizeof ones));
    return d->upload(d, r->g, ones, sizeof ones);
}

/* In place of the blocks that do not run (CUSIM_SAMPLE): none has found a number that is not
 * finite. */
static soda_status nothing_found(soda_device *d)
{
    int64_t parts[GPU_SUM];
    for (int i = 0; i < GPU_SUM; i++) parts[i] = INT64_MAX;
    return d->upload(d, gpu_sum(), parts, sizeof parts);
}

static void free_room(soda_device *d, const room *r)
{
    void *const all[] = {r->x,    r->g,     r->m,     r->v,          r->limbs,
                         r->norm, r->drift, r->rules, r->notes.list, r->notes.count};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) d->release(d, all[i]);
}

static soda_status step_adamw(soda_device *d, const soda_update *u, const room *r)
{
    const update_vector all = {N, r->x, r->g, r->m, r->v};
    update_vectors *vectors;
    TRY(u->vectors_open(d, &all, 1, &vectors));
    soda_status s = u->adamw(d, vectors, &r->rules->spectrum, r->norm);
    if (s == SODA_OK) s = d->wait(d);
    u->vectors_close(d, vectors);
    return s;
}

static soda_status step_rotations(soda_device *d, const soda_update *u, const room *r)
{
    enum { AREA = WIDEST * WIDEST };
    stiefel_f32 list[MATRICES];
    update_rotations *rotations;
    for (int i = 0; i < MATRICES; i++)
        list[i] = (stiefel_f32){.n = WIDEST,
                                .m = WIDEST,
                                .X = r->x + (ptrdiff_t)i * AREA,
                                .G = r->g + (ptrdiff_t)i * AREA,
                                .Y = r->m + (ptrdiff_t)i * AREA,
                                .p = r->v + (ptrdiff_t)i * AREA};
    TRY(u->rotations_open(d, list, MATRICES, &rotations));
    soda_status s = u->rotations_step(d, rotations, &r->rules->rotation, r->norm, r->drift);
    if (s == SODA_OK) s = d->wait(d);
    u->rotations_close(d, rotations);
    return s;
}

static soda_status queue(soda_device *d, const soda_update *u, const room *r, int which)
{
    switch (which) {
    case EXACT_ADD: return u->exact_add(d, r->limbs, r->x, N, &r->notes);
    case EXACT_ROUND: return u->exact_round(d, r->limbs, 1, r->x, N);
    case PLAIN_ADD: return u->plain_add(d, r->g, r->x, N, &r->notes);
    case NORM: return u->norm(d, r->x, N, r->norm);
    case CLIP: return u->clip(d, r->norm, &r->rules->clip, r->x, N);
    case ADAMW: return step_adamw(d, u, r);
    default: return step_rotations(d, u, r);
    }
}

soda_status traffic_extra_update(const soda_backend *backend, int which)
{
    soda_device *d = backend->device;
    room r = {0};
    soda_status s = take_room(d, &r);
    if (s == SODA_OK) s = fill_gradients(d, &r);
    if (s == SODA_OK) s = nothing_found(d);
    if (s == SODA_OK) s = queue(d, backend->update, &r, which);
    if (s == SODA_OK) s = d->wait(d);
    free_room(d, &r);
    return s;
}
