/* Bases of all layers: computed once, read by every rank, and right whatever the cache does. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/bases.h"
#include "adapter/factorize.h"
#include "backend/prices.h"
#include "core/log.h"
#include "io/array_cache.h"
#include "io/newfile.h"
#include "support/files.h"

enum { LAYERS = 5, M = 7, N = 12 };

typedef struct {
    soda_targets *targets;
    soda_layers *layers;
    float weight[LAYERS][M * N];
    char name[LAYERS][16];
} model;

/* Layer 3 has the weights of layer 1: they share a key. */
static void model_create(model *mo, const soda_method *method)
{
    const char *const list[] = {"to_q"};
    const method_options options = {.factors = {.rule = FACTORS_BALANCED}};
    layers_place place = {NULL, "unet.", true, prices_host()};
    soda_graph *g;
    CHECK_OK(targets_create(list, 1, &mo->targets));
    CHECK_OK(layers_create(method, mo->targets, &options, &mo->layers));
    CHECK_OK(graph_create(SODA_F32, &g));
    place.layers = mo->layers;
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(3, N));
    for (int i = 0; i < LAYERS; i++) {
        char path[32];
        check_fill_normal(mo->weight[i], M * N, i == 3 ? 1 : (uint32_t)i, 1);
        snprintf(mo->name[i], sizeof mo->name[i], "w%d", i);
        snprintf(path, sizeof path, "%d.to_q", i);
        const soda_weight w = {mo->name[i], {SODA_F32, SHAPE(M, N), mo->weight[i]}, false};
        layers_collect(&place, g, path, x, graph_weight(g, &w), NO_VALUE);
    }
    CHECK_OK(graph_status(g));
    graph_destroy(g);
    assert_int_equal(layers_count(mo->layers), LAYERS);
}

static void model_destroy(model *mo)
{
    layers_destroy(mo->layers);
    targets_destroy(mo->targets);
}

/* Every layer's bases are those of its own weights, to the bit. */
static void check_bases(const model *mo, const soda_method *method)
{
    float U[M * M], s[M], Vh[M * N];
    for (int i = 0; i < LAYERS; i++) {
        const soda_layer *l = layers_at(mo->layers, i);
        if (method == &method_soda_svd) {
            CHECK_OK(factorize_svd(mo->weight[i], M, N, U, s, Vh));
            assert_memory_equal(l->basis[0].source.data, U, sizeof U);
            assert_memory_equal(l->basis[1].source.data, s, sizeof s);
            assert_memory_equal(l->basis[2].source.data, Vh, sizeof Vh);
        } else {
            CHECK_OK(factorize_lq(mo->weight[i], M, N, Vh, s));
            assert_memory_equal(l->basis[0].source.data, Vh, sizeof Vh);
            assert_memory_equal(l->basis[1].source.data, s, sizeof s);
        }
    }
}

static const char *cache(const char *folder)
{
    CHECK_OK(newfile_make_folder(files_path(folder, "factors")));
    return folder;
}

static void computed_once_and_read_again(void **state)
{
    const char *folder = cache(*state);
    for (int run = 0; run < 4; run++) {
        const soda_method *method = run % 2 ? &method_soda_lq : &method_soda_svd;
        model mo;
        soda_bases *bases;
        model_create(&mo, method);
        CHECK_OK(bases_load(mo.layers, comm_self(), folder, &bases));
        check_bases(&mo, method);
        assert_true(layers_at(mo.layers, 0)->basis[0].mapped);
        /* four different weights; the second method adds as many */
        assert_int_equal(files_count(files_path(folder, "factors")), run == 0 ? 4 : 8);
        bases_destroy(bases);
        model_destroy(&mo);
    }
}

/* Rank 1 of 2, whose partner is on another node and has another cache: it stores its own layers,
 * then what its cache still lacks, so that the next run finds all. */
static soda_status alone_max(soda_comm *comm, int64_t *data, int64_t count)
{
    (void)comm, (void)data, (void)count;
    return SODA_OK;
}

static void a_rank_with_a_cache_of_its_own_stores_all_layers(void **state)
{
    const char *folder = cache(*state);
    soda_comm half = {.rank = 1, .size = 2, .node = comm_self(), .max_i64 = alone_max};
    model mo;
    soda_bases *bases;
    model_create(&mo, &method_soda_svd);
    CHECK_OK(bases_load(mo.layers, &half, folder, &bases));
    check_bases(&mo, &method_soda_svd);
    assert_int_equal(files_count(files_path(folder, "factors")), 4); /* 3 repeats 1 */
    for (int i = 0; i < LAYERS; i++) assert_true(layers_at(mo.layers, i)->basis[0].mapped);
    bases_destroy(bases);
    model_destroy(&mo);
}

static void a_damaged_or_useless_cache_is_survived(void **state)
{
    const char *folder = cache(*state);
    model mo;
    soda_bases *bases;
    char key[SHA256_HEX], name[128];
    model_create(&mo, &method_soda_svd);
    CHECK_OK(bases_load(mo.layers, comm_self(), folder, &bases));
    bases_destroy(bases);
    CHECK_OK(
        array_cache_weight_key(&layers_at(mo.layers, 2)->w0.source, "svd", FACTORIZE_VERSION, key));
    snprintf(name, sizeof name, "factors/%s.safetensors", key);
    const char *path = files_path(folder, name);
    assert_int_equal(truncate(path, 100), 0);
    log_set_quiet(true);
    CHECK_OK(bases_load(mo.layers, comm_self(), folder, &bases));
    check_bases(&mo, &method_soda_svd);
    assert_true(layers_at(mo.layers, 2)->basis[0].mapped); /* written again */
    bases_destroy(bases);
    CHECK_OK(bases_load(mo.layers, comm_self(), "/dev/null/absent", &bases));
    check_bases(&mo, &method_soda_svd);
    bases_destroy(bases);
    log_set_quiet(false);
    model_destroy(&mo);
}

static void a_bad_weight_is_named(void **state)
{
    const char *folder = cache(*state);
    model mo;
    soda_bases *bases;
    model_create(&mo, &method_soda_lq);
    mo.weight[4][5] = INFINITY;
    CHECK_FAILS(bases_load(mo.layers, comm_self(), folder, &bases), SODA_ERR_NUMERIC);
    check_message_has("w4: element [0,5]");
    assert_null(bases);
    model_destroy(&mo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(computed_once_and_read_again, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_rank_with_a_cache_of_its_own_stores_all_layers,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_or_useless_cache_is_survived, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_bad_weight_is_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
