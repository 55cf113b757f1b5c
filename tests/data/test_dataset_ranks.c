/* Data sets from the cache and on several ranks: the same numbers, and failures that all ranks see.
 */
#include "dataset_case.h"

#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "io/array_cache.h"
#include "support/ranks.h"

/* What the cache holds under a key is used: other numbers put there come back. */
static void the_cache_is_read(void **state)
{
    place p;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    soda_dataset *d = opened(&options);
    float mean[8 * 8 * 4], marked[8 * 8 * 4];
    char sha256[SHA256_HEX], name[200];
    memcpy(mean, dataset_view_at(d, 4, 0).mean, sizeof mean);
    snprintf(sha256, sizeof sha256, "%s", dataset_describe(d)->sha256);
    dataset_close(d);
    for (int i = 0; i < 8 * 8 * 4; i++) marked[i] = (float)i;
    FILE *list = popen("ls \"$SODA_CACHE/latents\"", "r");
    assert_non_null(list);
    char key[200];
    const safetensors_tensor arrays[] = {
        {.name = "mean", .dtype = SAFETENSORS_F32, .rank = 3, .dim = {8, 8, 4}, .data = marked},
        {.name = "std", .dtype = SAFETENSORS_F32, .rank = 3, .dim = {8, 8, 4}, .data = marked},
    };
    while (fgets(name, sizeof name, list)) {
        snprintf(key, sizeof key, "%.64s", name);
        CHECK_OK(array_cache_store(p.cache, "latents", key, arrays, 2));
    }
    pclose(list);
    d = opened(&options);
    assert_memory_equal(dataset_view_at(d, 4, 0).mean, marked, sizeof marked);
    assert_string_equal(dataset_describe(d)->sha256, sha256);
    dataset_close(d);
    /* a damaged file is made again */
    snprintf(name, sizeof name, "latents/%.64s.safetensors", key);
    assert_int_equal(truncate(files_path(p.cache, name), 300), 0);
    log_set_quiet(true);
    d = opened(&options);
    log_set_quiet(false);
    int made = 0;
    for (int i = 0; i < 5; i++)
        made += memcmp(dataset_view_at(d, i, 0).mean, marked, sizeof marked) != 0;
    assert_in_range(made, 1, 2); /* 2 if it was that of b and d */
    dataset_close(d);
    assert_int_equal(cached(&p, "latents"), 4);
}

static void a_useless_cache_is_survived(void **state)
{
    place p;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    const transform_options t = {.resolution = 32, .factor = 4, .seed = 7};
    setenv("SODA_CACHE", "/dev/null/absent", 1);
    log_set_quiet(true);
    soda_dataset *d = opened(&options);
    check_latents(&p, d, &t, 3, 0);
    assert_non_null(dataset_text_at(d, 4).hidden);
    dataset_close(d);
    /* it can be made, but nothing can be written to it */
    setenv("SODA_CACHE", p.cache, 1);
    CHECK_OK(newfile_make_folder(files_path(p.cache, "text")));
    symlink("/proc/self", files_path(p.cache, "latents"));
    d = opened(&options);
    check_latents(&p, d, &t, 3, 0);
    dataset_close(d);
    log_set_quiet(false);
}

typedef struct {
    const dataset_options *options;
    soda_dataset *dataset[RANKS_MOST];
} many;

static soda_status open_rank(soda_comm *comm, void *context)
{
    many *m = context;
    return dataset_open(model, cpu, SODA_F32, m->options, comm, &m->dataset[comm->rank]);
}

static void any_number_of_ranks_has_the_same(void **state)
{
    place p;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    ranks_result results[RANKS_MOST];
    soda_dataset *alone = opened(&options);
    for (int size = 2; size <= 4; size += 2) {
        char folder[700];
        many m = {.options = &options};
        snprintf(folder, sizeof folder, "%s/cache-%d", p.root, size);
        setenv("SODA_CACHE", folder, 1);
        ranks_run(size, open_rank, &m, results);
        for (int r = 0; r < size; r++) {
            if (results[r].status != SODA_OK) fail_msg("rank %d: %s", r, results[r].message);
            soda_dataset *d = m.dataset[r];
            assert_string_equal(dataset_describe(d)->sha256, dataset_describe(alone)->sha256);
            for (int64_t i = 0; i < 5; i++) {
                const dataset_view got = dataset_view_at(d, i, 0);
                const dataset_view want = dataset_view_at(alone, i, 0);
                assert_memory_equal(got.mean, want.mean, 8 * 8 * 4 * sizeof(float));
                assert_memory_equal(got.std, want.std, 8 * 8 * 4 * sizeof(float));
                assert_memory_equal(got.time_ids, want.time_ids, sizeof want.time_ids);
                assert_memory_equal(dataset_text_at(d, i).hidden, dataset_text_at(alone, i).hidden,
                                    (size_t)dataset_describe(d)->width * sizeof(float));
            }
            dataset_sample a[3], b[3];
            CHECK_OK(dataset_samples(d, 3, 6, 5, 1, a));
            CHECK_OK(dataset_samples(alone, 3, 6, 5, 1, b));
            for (int i = 0; i < 3; i++) assert_int_equal(a[i].image, b[i].image);
            dataset_close(d);
        }
        assert_int_equal(files_count(files_path(folder, "latents")), 4);
        assert_int_equal(files_count(files_path(folder, "text")), 4);
    }
    dataset_close(alone);
}

/* Every rank fails, and one of them says why. */
static void check_all_fail(const dataset_options *options, const char *message)
{
    many m = {.options = options};
    ranks_result results[RANKS_MOST];
    int named = 0;
    log_set_quiet(true);
    ranks_run(3, open_rank, &m, results);
    log_set_quiet(false);
    for (int r = 0; r < 3; r++) {
        assert_int_not_equal(results[r].status, SODA_OK);
        assert_null(m.dataset[r]);
        named += strstr(results[r].message, message) != NULL;
    }
    if (named < 1) fail_msg("%s: nobody says: %s", results[0].message, message);
}

static void a_bad_picture_fails_every_rank(void **state)
{
    place p;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    char path[700];
    snprintf(path, sizeof path, "%s/d.png", p.data);
    size_t bytes;
    char *whole = files_read(path, &bytes);
    make_picture(&p, "d.png", 90, 70, 4);     /* not b any more */
    assert_int_equal(truncate(path, 100), 0); /* its header is whole */
    check_all_fail(&options, "data/d.png: the PNG file is cut short or damaged");
    files_write(p.data, "d.png", "nothing", 7);
    check_all_fail(&options, "data/d.png: expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture");
    unlink(path);
    check_all_fail(&options, "metadata.jsonl:4: file_name: ");
    files_write(p.data, "d.png", whole, bytes);
    free(whole);
    dataset_options other = options;
    other.resolution = 34;
    check_all_fail(&other, "run.yaml: data.resolution: expected a multiple of 4 ");
    other = options;
    other.path = "/none";
    check_all_fail(&other, "run.yaml: data.path: /none: cannot open: No such file");
    other.resolution = 0;
    check_all_fail(&other, "found 0");
    other.resolution = 16388;
    check_all_fail(&other, "at most 16384, found 16388");
    dataset_close(opened(&options));
}

/* The bundled model with a NaN as the last weight of its VAE, quant_conv's. */
static void latents_that_are_not_finite_are_named(void **state)
{
    static const char *const parts[] = {"unet", "text_encoder", "tokenizer", "scheduler",
                                        "model_index.json"};
    place p;
    char from[700];
    size_t bytes;
    soda_dataset *d;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    CHECK_OK(newfile_make_folder(files_path(p.root, "model/vae")));
    for (int i = 0; i < 5; i++) {
        snprintf(from, sizeof from, "%s/%s", nano, parts[i]);
        assert_int_equal(symlink(from, files_path(files_path(p.root, "model"), parts[i])), 0);
    }
    snprintf(from, sizeof from, "%s/vae/config.json", nano);
    assert_int_equal(symlink(from, files_path(p.root, "model/vae/config.json")), 0);
    snprintf(from, sizeof from, "%s/vae/diffusion_pytorch_model.safetensors", nano);
    char *weights = files_read(from, &bytes);
    memcpy(weights + bytes - 2, "\x00\x7e", 2);
    files_write(p.root, "model/vae/diffusion_pytorch_model.safetensors", weights, bytes);
    free(weights);
    soda_folder *broken;
    CHECK_OK(folder_open(files_path(p.root, "model"), &broken));
    CHECK_FAILS(dataset_open(broken, cpu, SODA_F32, &options, comm_self(), &d), SODA_ERR_NUMERIC);
    check_message_has("data/a.png: the latents are not finite");
    assert_null(d);
    folder_close(broken);
    assert_int_equal(cached(&p, "latents"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_cache_is_read, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_useless_cache_is_survived, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(any_number_of_ranks_has_the_same, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_bad_picture_fails_every_rank, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(latents_that_are_not_finite_are_named, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
