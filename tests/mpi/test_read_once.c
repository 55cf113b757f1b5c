/* What the ranks of a node read once between them, run by mpirun on 1, 2, 3 and 4 ranks: the model,
 * for its identity, and the weights and factor files of adapted layers. */
#include "comm_mpi.h"

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
#include "model/hash.h"
#include "support/check.h"
#include "support/files.h"

static soda_comm *comm;

/* The same ranks, with a count of the rows of 32 or 64 bytes that this rank adds to those of others
 * on its node. */
static soda_comm node, counted;
enum { MOST_ROWS = 4096 };
static int64_t own_rows, all_rows, row_words;
static bool is_own_row[MOST_ROWS];

static soda_status count_rows(soda_comm *self, int64_t *data, int64_t count)
{
    (void)self;
    own_rows = 0;
    all_rows = count / row_words;
    assert_true(all_rows <= MOST_ROWS);
    for (int64_t r = 0; r < all_rows; r++) {
        is_own_row[r] = data[r * row_words] != 0;
        own_rows += is_own_row[r];
    }
    return comm->node->sum_i64(comm->node, data, count);
}

static soda_comm *counting(int64_t words)
{
    node = *comm->node;
    node.sum_i64 = count_rows;
    counted = *comm;
    counted.node = &node;
    own_rows = all_rows = 0;
    row_words = words;
    return &counted;
}

/* Whether all ranks say so: a test that stops on one rank leaves the others waiting. */
static bool all_agree(bool here)
{
    int64_t wrong = !here;
    CHECK_OK(comm->max_i64(comm, &wrong, 1));
    return !wrong;
}

/* A folder that all ranks see, made by rank 0. */
static void *made;

static int shared_setup(void **state)
{
    static char path[1024];
    if (comm->rank == 0 && files_setup(&made) != 0) return 1;
    if (comm->rank == 0) snprintf(path, sizeof path, "%s", (const char *)made);
    *state = path;
    return comm->broadcast(comm, path, sizeof path, 0) != SODA_OK;
}

static int shared_teardown(void **state)
{
    (void)state;
    (void)comm->meet(comm);
    return comm->rank == 0 ? files_teardown(&made) : 0;
}

static const char *copy_model(const char *folder, const char *name)
{
    char command[2200];
    const char *path = files_path(folder, name);
    snprintf(command, sizeof command, "cp -r '%s' '%s'", SODA_TEST_DIR "/golden/tiny-sdxl", path);
    assert_int_equal(system(command), 0);
    return path;
}

/* The identity that this rank finds in `path`, alone and together with the others. */
static soda_status identify(const char *path, bool together, char hex[SHA256_HEX])
{
    soda_folder *folder;
    TRY(folder_open(path, &folder));
    soda_status s = SODA_OK;
    if (together) s = model_hash_together(folder, FOLDER_UNET, counting(SHA256_BYTES / 8));
    if (s == SODA_OK) s = model_hash(folder, FOLDER_UNET, MODEL_HASH, hex);
    folder_close(folder);
    return s;
}

/* Bytes of all tensors, or of those that this rank hashed, and of the largest one. */
static int64_t sum_bytes(bool own, int64_t *largest)
{
    soda_folder *folder;
    soda_safetensors *set;
    int64_t sum = 0;
    *largest = 0;
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sdxl", &folder));
    CHECK_OK(folder_tensors_open(folder, FOLDER_UNET, &set));
    for (int i = 0; i < safetensors_count(set); i++) {
        const int64_t bytes = (int64_t)safetensors_at(set, i)->bytes;
        if (!own || is_own_row[i]) sum += bytes;
        if (bytes > *largest) *largest = bytes;
    }
    safetensors_close(set);
    folder_close(folder);
    return sum;
}

/* By bytes: where every second tensor is a bias, one of two ranks would else have all matrices. */
static void ranks_that_map_the_same_files_hash_a_part_each(void **state)
{
    (void)state;
    char alone[SHA256_HEX], together[SHA256_HEX];
    CHECK_OK(identify(SODA_TEST_DIR "/golden/tiny-sdxl", false, alone));
    CHECK_OK(identify(SODA_TEST_DIR "/golden/tiny-sdxl", true, together));
    assert_string_equal(alone, together);
    assert_true(all_rows > 4);
    int64_t rows = own_rows, largest;
    int64_t bytes = sum_bytes(true, &largest);
    const int64_t all = sum_bytes(false, &largest);
    CHECK_OK(comm->sum_i64(comm, &rows, 1));
    assert_int_equal(rows, all_rows); /* each by one rank */
    assert_true(bytes * comm->size <= all + 2 * largest * comm->size);
    CHECK_OK(comm->sum_i64(comm, &bytes, 1));
    assert_int_equal(bytes, all);
}

static void a_rank_with_other_files_says_what_it_reads(void **state)
{
    char alone[SHA256_HEX] = "", together[SHA256_HEX] = "";
    const char *path = SODA_TEST_DIR "/golden/tiny-sdxl";
    const bool other = comm->size > 1 && comm->rank == comm->size - 1;
    if (other) {
        path = copy_model(*state, "other");
        char command[2200];
        snprintf(command, sizeof command,
                 "printf X | dd of=$(ls '%s'/unet/*.safetensors | tail -1) bs=1 seek=9999 "
                 "conv=notrunc status=none",
                 path);
        assert_int_equal(system(command), 0);
    }
    CHECK_OK(identify(path, false, alone));
    CHECK_OK(identify(path, true, together));
    const bool same = strcmp(alone, together) == 0;
    assert_true(all_agree(same));
    bool equal = false;
    CHECK_OK(comm_all_same(comm, together, sizeof together, &equal));
    assert_int_equal(equal, comm->size == 1);
    if (comm->size > 1) assert_int_equal(all_rows, 0); /* each alone */
}

static void a_file_that_one_rank_cannot_read_fails_on_all(void **state)
{
    char message[512];
    const char *path = SODA_TEST_DIR "/golden/tiny-sdxl";
    const bool other = comm->rank == comm->size - 1;
    soda_folder *folder;
    if (other) {
        char command[2200];
        path = copy_model(*state, "cut");
        snprintf(command, sizeof command, "for f in '%s'/unet/*.safetensors; do : >$f; done", path);
        assert_int_equal(system(command), 0);
    }
    CHECK_OK(folder_open(path, &folder));
    const soda_status s = model_hash_together(folder, FOLDER_UNET, comm);
    snprintf(message, sizeof message, "%s", status_message());
    folder_close(folder);
    assert_int_equal(s, SODA_ERR_INPUT);
    assert_non_null(strstr(message, other ? "cut/unet/" : "failed"));
}

enum { NONE = -1, LAYERS = 7, M = 6, N = 8 };

typedef struct {
    soda_targets *targets;
    soda_layers *layers;
    float weight[LAYERS][M * N];
    char name[LAYERS][16];
} model;

static void model_create(model *mo)
{
    const char *const list[] = {"to_q"};
    const method_options options = {.factors = {.rule = FACTORS_BALANCED}};
    layers_place place = {NULL, "unet.", true, prices_host()};
    soda_graph *g;
    CHECK_OK(targets_create(list, 1, &mo->targets));
    CHECK_OK(layers_create(&method_soda_lq, mo->targets, &options, &mo->layers));
    CHECK_OK(graph_create(SODA_F32, &g));
    place.layers = mo->layers;
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(3, N));
    for (int i = 0; i < LAYERS; i++) {
        char path[32];
        check_fill_normal(mo->weight[i], M * N, (uint32_t)i, 1);
        snprintf(mo->name[i], sizeof mo->name[i], "w%d", i);
        snprintf(path, sizeof path, "%d.to_q", i);
        const soda_weight w = {mo->name[i], {SODA_F32, SHAPE(M, N), mo->weight[i]}, false};
        layers_collect(&place, g, path, x, graph_weight(g, &w), NO_VALUE);
    }
    CHECK_OK(graph_status(g));
    graph_destroy(g);
}

static bool has_same_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

/* All are mapped but those of layer `in_memory`. */
static bool has_right_bases(const model *mo, int in_memory)
{
    float d[M], Q[M * N]; /* d: the diagonal of L */
    bool right = true;
    for (int i = 0; i < LAYERS; i++) {
        const soda_layer *l = layers_at(mo->layers, i);
        CHECK_OK(factorize_lq(mo->weight[i], M, N, Q, d));
        right = right && has_same_bytes(l->basis[0].source.data, Q, sizeof Q) &&
                has_same_bytes(l->basis[1].source.data, d, sizeof d) &&
                l->basis[0].mapped == (i != in_memory);
    }
    return right;
}

static void damage_file_of(const model *mo, int layer, const char *folder)
{
    char key[SHA256_HEX], name[128], *file;
    size_t bytes;
    CHECK_OK(array_cache_weight_key(&layers_at(mo->layers, layer)->w0.source, "lq",
                                    FACTORIZE_VERSION, key));
    snprintf(name, sizeof name, "factors/%s.safetensors", key);
    file = files_read(files_path(folder, name), &bytes);
    file[bytes - 2] ^= 4;
    files_write(folder, name, file, bytes);
    free(file);
}

/* The first start makes the files, the second finds one of them damaged, which one rank sees. Where
 * that cannot be written again, no other rank maps it. */
static void factor_files_are_checked_by_one_rank_and_right_on_all(void **state)
{
    const char *folder = *state;
    model mo;
    soda_bases *bases;
    model_create(&mo);
    CHECK_OK(newfile_make_folder(files_path(folder, "factors")));
    CHECK_OK(comm->meet(comm));
    log_set_quiet(true);
    CHECK_OK(bases_load(mo.layers, counting((SHA256_HEX - 1) / 8), folder, &bases));
    assert_true(all_agree(has_right_bases(&mo, NONE)));
    assert_int_equal(all_rows, LAYERS);
    assert_int_equal(own_rows, (LAYERS - comm->rank + comm->size - 1) / comm->size);
    bases_destroy(bases);
    for (int writable = 1; writable >= 0; writable--) {
        CHECK_OK(comm->meet(comm));
        if (comm->rank == 0) damage_file_of(&mo, 1, folder);
        CHECK_OK(comm->meet(comm));
        files_limit(writable ? RLIM_INFINITY : 100);
        const soda_status s = bases_load(mo.layers, comm, folder, &bases);
        files_limit(RLIM_INFINITY);
        CHECK_OK(s);
        assert_true(all_agree(has_right_bases(&mo, writable ? NONE : 1)));
        bases_destroy(bases);
    }
    log_set_quiet(false);
    layers_destroy(mo.layers);
    targets_destroy(mo.targets);
}

int main(void)
{
    if (!comm_mpi_launched()) return fprintf(stderr, "to be run by mpirun\n"), 1;
    if (comm_mpi_open(false, &comm) != SODA_OK) return fprintf(stderr, "%s\n", status_message()), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_that_map_the_same_files_hash_a_part_each),
        cmocka_unit_test_setup_teardown(a_rank_with_other_files_says_what_it_reads, shared_setup,
                                        shared_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_one_rank_cannot_read_fails_on_all, shared_setup,
                                        shared_teardown),
        cmocka_unit_test_setup_teardown(factor_files_are_checked_by_one_rank_and_right_on_all,
                                        shared_setup, shared_teardown),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_mpi_close();
    return failed;
}
