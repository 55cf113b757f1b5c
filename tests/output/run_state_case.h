/* run_state_case.h: a run with two layers, and its checkpoint. */
#pragma once

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "adapter/targets.h"
#include "io/newfile.h"
#include "output/run_state.h"
#include "support/files.h"

enum { M = 6, N = 12, ROWS = 1500 }; /* more rows than the history has room for at first */

typedef struct {
    soda_targets *targets;
    soda_layers *layers;
    soda_params params;
    run_state state;
    char path[1024]; /* of the checkpoint that was restored */
} run;

/* A run at its start, with one layer for each path. */
static inline void run_open(run *r, const char *const *paths, int count, int64_t m)
{
    static const char *const list[] = {"to_q"};
    static float w[2 * M * N];
    const method_options options = {.factors = {.rule = FACTORS_BALANCED}};
    soda_graph *g;
    *r = (run){.state = {.seed = 11,
                         .method = "soda_lq",
                         .config = "train:\n  steps: 10  # updates\n",
                         .schedule = "linear"}};
    snprintf(r->state.model_sha256, SHA256_HEX, "%064d", 1);
    snprintf(r->state.data_sha256, SHA256_HEX, "%064d", 2);
    CHECK_OK(targets_create(list, 1, &r->targets));
    CHECK_OK(layers_create(&method_soda_lq, r->targets, &options, &r->layers));
    CHECK_OK(graph_create(SODA_F32, &g));
    layers_place place = {r->layers, "unet.", true, prices_host()};
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(3, N));
    for (int i = 0; i < count; i++) {
        const soda_weight weight = {paths[i], {SODA_F32, SHAPE(m, N), w}, false};
        layers_collect(&place, g, paths[i], x, graph_weight(g, &weight), NO_VALUE);
    }
    graph_destroy(g);
    CHECK_OK(params_create(r->layers, &options, backend_ref(), &r->params));
}

static const char *const two_paths[] = {"b.to_q", "a.to_q"}; /* files sort them the other way */

static inline void run_start(run *r) { run_open(r, two_paths, 2, M); }

static inline void run_close(run *r)
{
    run_state_free(&r->state);
    params_destroy(&r->params);
    layers_destroy(r->layers);
    targets_destroy(r->targets);
}

/* Steps that leave numbers nobody else has. */
static inline void run_on(run *r, int64_t steps)
{
    soda_params *t = &r->params;
    for (int64_t end = r->state.step + steps; r->state.step < end; r->state.step++)
        CHECK_OK(run_state_note(&r->state, 1.0 / (double)(3 + r->state.step),
                                1e-3 * (double)r->state.step));
    for (int i = 0; i < t->count; i++) {
        const uint32_t seed = (uint32_t)(r->state.step + 3 * i);
        const int64_t at = t->tensors[i].offset, count = t->tensors[i].count;
        check_fill_normal(t->host.value + at, count, seed, 1);
        check_fill_normal(t->host.first + at, count, seed + 1, 1e-3f);
        check_fill_normal(t->host.second + at, count, seed + 2, 1e-6f);
    }
    t->host.value[0] = -0.0f;
    t->host.second[1] = 0x1p-149f;
}

static inline bool equal(const run *a, const run *b)
{
    const size_t bytes = (size_t)a->params.length * sizeof(float);
    bool same = a->state.step == b->state.step && a->state.rows == b->state.rows &&
                memcmp(a->params.host.value, b->params.host.value, bytes) == 0 &&
                memcmp(a->params.host.first, b->params.host.first, bytes) == 0 &&
                memcmp(a->params.host.second, b->params.host.second, bytes) == 0;
    for (int c = 0; same && c < HISTORY_COLUMNS && a->state.rows; c++)
        same = memcmp(a->state.history[c], b->state.history[c],
                      (size_t)a->state.rows * sizeof(double)) == 0;
    return same;
}

static inline soda_status restore(run *r, soda_comm *comm, const char *folder)
{
    return run_state_restore(&r->state, &r->params, comm, folder, r->path, sizeof r->path);
}

/* A folder of its own for each test, with the checkpoint of `saved` after ROWS steps. */
static inline const char *save(run *saved, const char *folder, const char *name)
{
    const char *path = files_path(folder, name);
    CHECK_OK(newfile_make_folder(path));
    run_start(saved);
    run_on(saved, ROWS);
    CHECK_OK(run_state_save(&saved->state, &saved->params, path, 3));
    return path;
}
