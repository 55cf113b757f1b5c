/* Data sets with the bundled model: latents and states are those of their pictures and captions,
 * made once, on any number of ranks; whatever is wrong is named on every rank. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "data/dataset.h"
#include "data/transform.h"
#include "image/image.h"
#include "io/array_cache.h"
#include "io/newfile.h"
#include "io/png.h"
#include "pipeline/text.h"
#include "pipeline/vae_encoder.h"
#include "support/files.h"
#include "support/ranks.h"

static const char nano[] = SODA_SOURCE_DIR "/configs/quickstart/model";
static soda_folder *model;
static const soda_backend *cpu;

typedef struct {
    char root[512], data[600], cache[600];
} place;

/* Five pictures, of which 1 and 3 are the same file; two captions have the same tokens. */
static void make_picture(const place *p, const char *name, int width, int height, int seed)
{
    char path[700];
    uint8_t *rgb = malloc((size_t)(3 * width * height));
    assert_non_null(rgb);
    for (int i = 0; i < 3 * width * height; i++)
        rgb[i] = (uint8_t)(seed * 50 + i % 3 * 40 + i / 3 % width * 2 + i / 3 / width);
    snprintf(path, sizeof path, "%s/%s", p->data, name);
    CHECK_OK(soda_png_write(path, rgb, width, height));
    free(rgb);
}

static void place_make(place *p, const char *root)
{
    static const char metadata[] =
        "{\"file_name\": \"a.png\", \"text\": \"a sks cat\", \"class_text\": \"a cat\"}\n"
        "{\"file_name\": \"b.png\", \"text\": \"a cat\"}\n"
        "{\"file_name\": \"c.png\", \"text\": \"A  CAT\"}\n"
        "{\"file_name\": \"d.png\", \"text\": \"zebra\"}\n"
        "{\"file_name\": \"e.png\", \"text\": \"a sks cat\"}\n";
    snprintf(p->root, sizeof p->root, "%s", root);
    snprintf(p->data, sizeof p->data, "%s/data", root);
    snprintf(p->cache, sizeof p->cache, "%s/cache", root);
    CHECK_OK(newfile_make_folder(p->data));
    setenv("SODA_CACHE", p->cache, 1);
    make_picture(p, "a.png", 64, 64, 0);
    make_picture(p, "b.png", 90, 70, 1);
    make_picture(p, "c.png", 64, 130, 2);
    make_picture(p, "d.png", 90, 70, 1);
    make_picture(p, "e.png", 40, 48, 3);
    files_write(p->data, "metadata.jsonl", metadata, strlen(metadata));
}

static dataset_options options_of(const place *p)
{
    return (dataset_options){
        .path = p->data, .resolution = 32, .caption_dropout = 0.25, .seed = 7, .want_states = true};
}

static int cached(const place *p, const char *kind)
{
    return files_count(files_path(p->cache, kind));
}

static soda_dataset *opened(const dataset_options *options)
{
    soda_dataset *d;
    CHECK_OK(dataset_open(model, cpu, SODA_F32, options, comm_self(), &d));
    return d;
}

/* The latents of one variant, straight from the file. */
static void check_latents(const place *p, const soda_dataset *d, const transform_options *t,
                          int64_t index, int variant)
{
    char path[700];
    void *bytes;
    size_t size;
    soda_image image;
    vae_encoder encoder;
    const dataset_image *about = dataset_image_at(d, index);
    const dataset_view got = dataset_view_at(d, index, variant);
    snprintf(path, sizeof path, "%s/%s", p->data, about->file);
    CHECK_OK(file_read(path, 1 << 20, &bytes, &size));
    CHECK_OK(image_decode(bytes, size, path, &image));
    const transform_view view =
        transform_view_of(t, (uint64_t)index, image.width, image.height, variant);
    const size_t count = (size_t)(view.w * view.h / 16 * 4);
    assert_int_equal(about->h * about->w * 4, count);
    float *pixels = malloc((size_t)(view.w * view.h * 3) * sizeof *pixels);
    float *mean = malloc(count * sizeof *mean), *std = malloc(count * sizeof *std);
    CHECK_OK(transform_apply(&image, &view, pixels));
    CHECK_OK(vae_encoder_open(model, cpu, SODA_F32, view.h, view.w, &encoder));
    CHECK_OK(vae_encoder_run(&encoder, pixels, mean, std));
    assert_memory_equal(got.mean, mean, count * sizeof *mean);
    assert_memory_equal(got.std, std, count * sizeof *std);
    const int64_t ids[6] = {image.height, image.width, view.top, view.left, view.h, view.w};
    assert_memory_equal(got.time_ids, ids, sizeof ids);
    vae_encoder_close(&encoder);
    image_free(&image);
    free(bytes);
    free(pixels);
    free(mean);
    free(std);
}

static void latents_and_states_are_those_of_the_files(void **state)
{
    place p;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    const transform_options t = {.resolution = 32, .factor = 4, .seed = 7};
    static const char *const texts[] = {"", "A  CAT", "a cat", "a sks cat", "zebra"};
    static const int64_t text_of[] = {3, 2, 1, 4, 3}, class_of[] = {2, 2, 1, 4, 3};
    soda_text text;
    soda_dataset *d = opened(&options);
    const dataset_about *about = dataset_describe(d);
    assert_int_equal(about->count, 5);
    assert_int_equal(about->variants, 1);
    assert_int_equal(about->channels, 4);
    assert_int_equal(about->texts, 5);
    assert_int_equal(about->empty_text, 0);
    assert_int_equal(about->pooled_width, 0);
    CHECK_OK(text_encode(model, cpu, SODA_F32, NULL, texts, 5, &text));
    assert_int_equal(about->tokens, text.tokens);
    assert_int_equal(about->width, text.width);
    const int64_t n = text.tokens * text.width;
    for (int64_t i = 0; i < 5; i++) {
        const dataset_text got = dataset_text_at(d, i);
        assert_memory_equal(got.hidden, text.hidden + i * n, (size_t)n * sizeof(float));
        assert_null(got.pooled);
        assert_non_null(got.ids[0]);
        assert_null(got.ids[1]);
        check_latents(&p, d, &t, i, 0);
        assert_int_equal(dataset_image_at(d, i)->text, text_of[i]);
        assert_int_equal(dataset_image_at(d, i)->class_text, class_of[i]);
    }
    text_free(&text);
    /* made once: b and d are one picture, two captions have the same tokens */
    assert_int_equal(cached(&p, "latents"), 4);
    assert_int_equal(cached(&p, "text"), 4);
    dataset_close(d);
}

/* Two encoders, a pooled vector and a VAE of its own. */
static void sdxl_has_pooled_states(void **state)
{
    static const char *const texts[] = {"", "A  CAT", "a cat", "a sks cat", "zebra"};
    place p;
    soda_folder *xl;
    soda_dataset *d;
    soda_text text;
    place_make(&p, *state);
    dataset_options options = options_of(&p);
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sdxl", &xl));
    CHECK_OK(dataset_open(xl, cpu, SODA_F32, &options, comm_self(), &d));
    CHECK_OK(text_encode(xl, cpu, SODA_F32, NULL, texts, 5, &text));
    assert_true(text.pooled_width > 0);
    assert_int_equal(dataset_describe(d)->pooled_width, text.pooled_width);
    for (int64_t i = 0; i < 5; i++) {
        const dataset_text got = dataset_text_at(d, i);
        assert_memory_equal(got.pooled, text.pooled + i * text.pooled_width,
                            (size_t)text.pooled_width * sizeof(float));
        assert_memory_equal(got.hidden, text.hidden + i * text.tokens * text.width,
                            (size_t)(text.tokens * text.width) * sizeof(float));
        assert_non_null(got.ids[1]);
    }
    text_free(&text);
    dataset_close(d);
    folder_close(xl);
}

/* The bundled VAE runs in fp32 whatever the type of the rest; its text encoder does not. */
static void types_share_latents_that_are_the_same(void **state)
{
    place p;
    soda_dataset *d;
    place_make(&p, *state);
    const dataset_options options = options_of(&p);
    dataset_close(opened(&options));
    CHECK_OK(dataset_open(model, cpu, SODA_BF16, &options, comm_self(), &d));
    dataset_close(d);
    assert_int_equal(cached(&p, "latents"), 4);
    assert_int_equal(cached(&p, "text"), 8);
}

static void crops_flips_and_buckets_have_their_latents(void **state)
{
    place p;
    place_make(&p, *state);
    dataset_options options = options_of(&p);
    options.random_crop = options.flip = options.buckets = true;
    options.want_states = false;
    const transform_options t = {.resolution = 32,
                                 .buckets = true,
                                 .factor = 4,
                                 .random_crop = true,
                                 .flip = true,
                                 .seed = 7};
    soda_dataset *d = opened(&options);
    assert_int_equal(dataset_describe(d)->variants, 16);
    for (int64_t i = 0; i < 5; i++)
        for (int v = 0; v < 16; v += 3) check_latents(&p, d, &t, i, v);
    assert_true(dataset_image_at(d, 2)->h > dataset_image_at(d, 2)->w);
    assert_null(dataset_text_at(d, 1).hidden);
    assert_non_null(dataset_text_at(d, 1).ids[0]);
    assert_int_equal(cached(&p, "latents") > 8, 1);

    /* a micro-batch has one size; a dropped caption is the empty text */
    int dropped = 0, seen[5] = {0}, variants = 0;
    for (int64_t step = 0; step < 25; step++)
        for (int64_t micro = 0; micro < 2; micro++) {
            dataset_sample s[2];
            CHECK_OK(dataset_samples(d, 2, 4, step, micro, s));
            for (int i = 0; i < 2; i++) {
                assert_int_equal(s[i].number, step * 4 + micro * 2 + i);
                assert_in_range(s[i].image, 0, 4);
                assert_in_range(s[i].variant, 0, 15);
                assert_int_equal(dataset_image_at(d, s[i].image)->h,
                                 dataset_image_at(d, s[0].image)->h);
                assert_int_equal(dataset_image_at(d, s[i].image)->w,
                                 dataset_image_at(d, s[0].image)->w);
                if (s[i].text != dataset_image_at(d, s[i].image)->text) {
                    assert_int_equal(s[i].text, 0);
                    dropped++;
                }
                seen[s[i].image]++;
                variants |= 1 << s[i].variant;
            }
        }
    assert_in_range(dropped, 10, 40);                             /* 25 of 100 */
    for (int i = 0; i < 5; i++) assert_in_range(seen[i], 18, 22); /* 20 epochs, two cut off */
    assert_true(variants > 0xff);
    dataset_close(d);
}

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
    check_all_fail(&other, "data.resolution: expected a multiple of 4 ");
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

/* The identity follows files, cuts and captions, not their place or the model's type. */
static void identities_tell_data_sets_apart(void **state)
{
    enum { CASES = 6 };
    place elsewhere;
    char sha256[CASES][SHA256_HEX], root[600], shared[600];
    dataset_options options;
    snprintf(shared, sizeof shared, "%s/cache", (const char *)*state);
    for (int i = 0; i < CASES; i++) {
        snprintf(root, sizeof root, "%s/%d", (const char *)*state, i);
        place_make(&elsewhere, root);
        setenv("SODA_CACHE", shared, 1);
        options = options_of(&elsewhere);
        options.want_states = false;
        if (i == 2) options.resolution = 36;
        if (i == 3) options.flip = true;
        if (i == 4) make_picture(&elsewhere, "c.png", 64, 130, 9);
        if (i == 5) {
            static const char less[] = "{\"file_name\": \"a.png\", \"text\": \"a sks cat\"}\n";
            files_write(elsewhere.data, "metadata.jsonl", less, strlen(less));
            log_set_quiet(true);
        }
        soda_dataset *d = opened(&options);
        log_set_quiet(false);
        snprintf(sha256[i], sizeof sha256[i], "%s", dataset_describe(d)->sha256);
        dataset_close(d);
    }
    assert_string_equal(sha256[0], sha256[1]);
    for (int i = 1; i < CASES; i++)
        for (int k = i + 1; k < CASES; k++) assert_string_not_equal(sha256[i], sha256[k]);
}

static int open_model(void **state)
{
    (void)state;
    cpu = backend_cpu(2);
    return folder_open(nano, &model) == SODA_OK ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    folder_close(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(latents_and_states_are_those_of_the_files, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(sdxl_has_pooled_states, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(types_share_latents_that_are_the_same, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(crops_flips_and_buckets_have_their_latents, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(the_cache_is_read, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_useless_cache_is_survived, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(any_number_of_ranks_has_the_same, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_bad_picture_fails_every_rank, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(latents_that_are_not_finite_are_named, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(identities_tell_data_sets_apart, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
