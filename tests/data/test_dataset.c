/* Data sets with the bundled model: latents and states are those of their pictures and captions. */
#include "dataset_case.h"

#include <unistd.h>

#include "core/log.h"
#include "pipeline/text.h"

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
        cmocka_unit_test_setup_teardown(identities_tell_data_sets_apart, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
