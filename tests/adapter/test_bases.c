/* Bases of all layers: computed once, read by every rank, and right whatever the cache does. */
#include "support/check.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/bases.h"
#include "adapter/factorize.h"
#include "backend/prices.h"
#include "core/log.h"
#include "io/array_cache.h"
#include "io/newfile.h"
#include "support/files.h"
#include "support/ranks.h"

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

/* Two ranks with a cache each: what one makes is stored in both, so that the next run of each finds
 * all. */
typedef struct {
    model models[2];
    soda_bases *bases[2];
    const char *folders[2]; /* NULL: none that could be used */
} two_ranks;

static soda_status load_own(soda_comm *comm, void *context)
{
    two_ranks *two = context;
    const int r = comm->rank;
    return bases_load(two->models[r].layers, comm, two->folders[r], &two->bases[r]);
}

static void load_two(two_ranks *two, bool mapped0, bool mapped1)
{
    ranks_result results[RANKS_MOST];
    for (int r = 0; r < 2; r++) model_create(&two->models[r], &method_soda_svd);
    ranks_run(2, load_own, two, results);
    for (int r = 0; r < 2; r++) {
        if (results[r].status != SODA_OK) fail_msg("rank %d: %s", r, results[r].message);
        check_bases(&two->models[r], &method_soda_svd);
        for (int i = 0; i < LAYERS; i++)
            assert_int_equal(layers_at(two->models[r].layers, i)->basis[0].mapped,
                             r == 0 ? mapped0 : mapped1);
        bases_destroy(two->bases[r]);
        model_destroy(&two->models[r]);
    }
}

static int64_t inode_sum(const char *folder)
{
    struct stat about;
    struct dirent *e;
    int64_t sum = 0;
    DIR *list = opendir(files_path(folder, "factors"));
    assert_non_null(list);
    while ((e = readdir(list)) != NULL)
        if (fstatat(dirfd(list), e->d_name, &about, 0) == 0 && S_ISREG(about.st_mode))
            sum += (int64_t)about.st_ino;
    closedir(list);
    return sum;
}

static void ranks_with_a_cache_each_store_all_layers_in_both(void **state)
{
    char folders[2][300];
    two_ranks two = {.folders = {folders[0], folders[1]}};
    for (int r = 0; r < 2; r++) {
        snprintf(folders[r], sizeof folders[r], "%s/%d", (const char *)*state, r);
        CHECK_OK(newfile_make_folder(folders[r]));
        cache(folders[r]);
    }
    load_two(&two, true, true);
    for (int r = 0; r < 2; r++) /* layer 3 repeats layer 1 */
        assert_int_equal(files_count(files_path(folders[r], "factors")), 4);
    const int64_t stored = inode_sum(folders[0]), other = inode_sum(folders[1]);
    load_two(&two, true, true);
    assert_int_equal(inode_sum(folders[0]), stored);
    assert_int_equal(inode_sum(folders[1]), other);
    log_set_quiet(true);
    two.folders[1] = "/dev/null/absent";
    load_two(&two, true, false);
    two.folders[0] = two.folders[1];
    load_two(&two, false, false);
    log_set_quiet(false);
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
        cmocka_unit_test_setup_teardown(ranks_with_a_cache_each_store_all_layers_in_both,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_or_useless_cache_is_survived, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_bad_weight_is_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
