/* Adapters outside of training, through the program: sampled, exported, inspected. */
#include "export_case.h"

#include "core/log.h"
#include "io/safetensors.h"

/* What diffusers drew from an exported folder (tests/golden/make_export.py), against --adapter: the
 * same fp32 weights in two programs, ten steps at guidance 5. The contract's bound for a pipeline
 * is 1e-3; seen: 6e-7 and 2e-6. */
static void diffusers_draws_from_an_export_what_the_adapter_draws(void **state)
{
    static const char *const families[] = {"sd1", "sdxl"};
    static const char *const sizes[] = {"--width 32 --height 32", "--width 24 --height 16"};
    for (int f = 0; f < 2; f++) {
        char golden[512], drawn[64];
        soda_safetensors *want, *got;
        snprintf(golden, sizeof golden, SODA_TEST_DIR "/golden/export/%s.safetensors", families[f]);
        snprintf(drawn, sizeof drawn, "%s.safetensors", families[f]);
        program_expect(program_run(*state,
                                   "soda sample --model '" SODA_TEST_DIR "/golden/tiny-%s' %s "
                                   "--adapter '" SODA_TEST_DIR
                                   "/golden/export/%s-adapter.safetensors' --latents '%s' "
                                   "--save-latents %s --out pictures --steps 10 --guidance 5 "
                                   "--prompt 'a red fox' --prompt 'snow on the hill'",
                                   families[f], sizes[f], families[f], golden, drawn),
                       0, "2 pictures");
        CHECK_OK(safetensors_open(golden, &want));
        CHECK_OK(safetensors_open(files_path(*state, drawn), &got));
        const safetensors_tensor *p = safetensors_find(want, "final"),
                                 *q = safetensors_find(got, "latents");
        assert_true(p && q && p->bytes == q->bytes);
        float *values = malloc(2 * p->bytes), *others = values + p->bytes / sizeof(float);
        assert_non_null(values);
        CHECK_OK(safetensors_read_f32(q, values));
        CHECK_OK(safetensors_read_f32(p, others));
        assert_true(check_relative_l2(values, others, (int64_t)(p->bytes / sizeof(float))) <= 1e-5);
        free(values);
        safetensors_close(want);
        safetensors_close(got);
    }
}

/* The merged folder and the folder with --adapter have the same fp32 weights: the same latents. */
static void the_exported_folder_draws_the_same(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a.safetensors"), MODEL("sd1"), &method_soda_svd, true, 1);
    program_expect(program_run(at,
                               "soda export a.safetensors --to diffusers --model %s --out new/m/",
                               MODEL("sd1")),
                   0, "adapted layers to new/m");
    program_expect(program_run(at, "soda sample --model %s --adapter a.safetensors " SAMPLE " l1",
                               MODEL("sd1")),
                   0, "1 picture");
    program_expect(program_run(at, "soda sample --model new/m " SAMPLE " l2"), 0, "1 picture");
    program_expect(program_run(at, "soda sample --model %s " SAMPLE " l0", MODEL("sd1")), 0,
                   "1 pic");
    assert_true(distance(at, "l2", "l1") <= 1e-5);
    assert_true(distance(at, "l0", "l1") > 1e-2);
    /* All else is as it was. */
    program_expect(program_run(at, "diff -r -q %s new/m | sort", MODEL("sd1")), 0,
                   "text_encoder/model.safetensors differ");
    assert_non_null(strstr(program_output, "unet/diffusion_pytorch_model.safetensors differ"));
    assert_null(strstr(program_output, "Only in"));
    assert_null(strstr(program_output, "vae"));
    assert_null(strstr(program_output, "config"));
    program_expect(program_run(at, "ls new | wc -l"), 0, "1\n"); /* no temporary folder is left */
}

/* The files of a variant keep their names, so that one variant loads as a whole. */
static void a_variant_keeps_its_name(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a.safetensors"), MODEL("sd1"), &method_soda_svd, false, 1);
    program_expect(program_run(at,
                               "cp -r %s v && cd v && "
                               "for f in */*.safetensors; do mv $f ${f%%.*}.fp16.safetensors; done "
                               "&& soda export ../a.safetensors --to diffusers --model . "
                               "--out ../new && cd .. && ls new/unet new/vae",
                               MODEL("sd1")),
                   0, "new/unet:\nconfig.json\ndiffusion_pytorch_model.fp16.safetensors\n");
    assert_null(strstr(program_output, "diffusion_pytorch_model.safetensors"));
    program_expect(program_run(at, "soda sample --model new " SAMPLE " l1"), 0, "1 picture");
}

static void weights_that_are_left_out_are_named(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a"), MODEL("sd1"), &method_soda_svd, false, 1);
    program_expect(program_run(at,
                               "cp -r %s v && for f in v/unet v/vae; do "
                               "cp $f/diffusion_pytorch_model.safetensors "
                               "$f/diffusion_pytorch_model.fp16.safetensors; done && "
                               "touch v/learned_embeds.bin && "
                               "soda export a --to diffusers --model v --out new && ls new/*",
                               MODEL("sd1")),
                   0, "v/learned_embeds.bin: left out: weights that lie beside");
    assert_non_null(strstr(program_output,
                           "v/unet/diffusion_pytorch_model.fp16.safetensors: left out: the adapter "
                           "is merged into v/unet/diffusion_pytorch_model.safetensors\n"));
    assert_null(strstr(program_output, "diffusion_pytorch_model.safetensors: left out"));
    assert_null(strstr(program_output, "v/vae/"));
}

/* Whatever sample and train open. */
static void inspect_opens_data_pictures_and_tokenizers(void **state)
{
    const char *at = *state;
    program_expect(program_run(at,
                               "cp -r %s/configs/quickstart/images/train d && "
                               "printf x > d/z.heic && "
                               "soda inspect d --model %s/configs/quickstart/model",
                               SODA_SOURCE_DIR, SODA_SOURCE_DIR),
                   0, "d: 6 pictures with captions");
    assert_non_null(strstr(program_output, "shorter side 64 to 64"));
    assert_non_null(strstr(program_output, "1 picture is left out: its format"));
    assert_non_null(strstr(program_output, "0 of 6 captions are longer than the 30 tokens that"));
    program_expect(program_run(at, "soda inspect d/automobile.png"), 0, "a PNG picture, 64x64");
    program_expect(program_run(at, "soda inspect %s/tokenizer", MODEL("sd1")), 0, "640 tokens");
    program_expect(program_run(at, "soda inspect %s", MODEL("sd1")), 0, "prompts of up to 19");
    program_expect(program_run(at, "printf x > d/automobile.png; soda inspect d"), 0,
                   "1 picture cannot be read; the first: d/automobile.png: expected a PNG");
}

static void weights_and_several_adapters_work(void **state)
{
    const char *at = *state, *m = MODEL("sdxl");
    write_adapter(files_path(at, "a:1.safetensors"), m, &method_soda_svd, true, 1);
    write_adapter(files_path(at, "b"), m, &method_soda_lq, false, 900);
    program_expect(program_run(at, "soda sample --model %s " SAMPLE " plain", m), 0, "1 picture");
    program_expect(program_run(at,
                               "soda sample --model %s --adapter a:1.safetensors:0 "
                               "--adapter b:0 " SAMPLE " zero",
                               m),
                   0, "1 picture");
    assert_true(distance(at, "zero", "plain") == 0);
    program_expect(program_run(at,
                               "soda sample --model %s --adapter a:1.safetensors --adapter b:-0.5 "
                               "--adapter b:0.5 " SAMPLE " one",
                               m),
                   0, "1 picture");
    program_expect(
        program_run(at, "soda sample --model %s --adapter a:1.safetensors:1.0 " SAMPLE " two", m),
        0, "1 picture");
    assert_true(distance(at, "one", "two") <= 1e-4); /* b cancels up to the rounding of W */
    assert_true(distance(at, "one", "plain") > 1e-2);
    program_expect(program_run(at, "soda sample --model %s --adapter b:much " SAMPLE " x", m), 2,
                   "found 'b:much'");
    program_expect(program_run(at, "soda sample --model %s --adapter none " SAMPLE " x", m), 1,
                   "none: no such file");
    program_expect(program_run(at, "soda sample --model %s --adapter b " SAMPLE " x", MODEL("sd1")),
                   1, "b: tensor unet.");
}

/* Sharded bf16 becomes one bf16 file; every tensor that is not adapted keeps its bytes. */
static void types_and_other_tensors_are_kept(void **state)
{
    const char *at = *state;
    soda_safetensors *before, *after;
    int changed = 0;
    write_adapter(files_path(at, "a"), MODEL("sdxl"), &method_soda_lq, false, 4);
    program_expect(
        program_run(at, "soda export a --to diffusers --out m --model %s", MODEL("sdxl")), 0,
        "adapted layers to m");
    program_expect(program_run(at, "ls m/unet"), 0,
                   "config.json\ndiffusion_pytorch_model.safetensors\n");
    CHECK_OK(safetensors_open_folder(MODEL("sdxl") "/unet", "diffusion_pytorch_model", &before));
    CHECK_OK(
        safetensors_open(files_path(at, "m/unet/diffusion_pytorch_model.safetensors"), &after));
    assert_int_equal(safetensors_count(before), safetensors_count(after));
    assert_string_equal(safetensors_metadata(after, "format"), "pt");
    for (int i = 0; i < safetensors_count(before); i++) {
        const safetensors_tensor *x = safetensors_at(before, i), *y = safetensors_at(after, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->bytes, y->bytes);
        if (!memcmp(x->data, y->data, x->bytes)) continue;
        assert_true(strstr(x->name, ".attn1.to_") || strstr(x->name, ".attn2.to_"));
        assert_non_null(strstr(x->name, ".weight"));
        changed++;
    }
    program_expect(program_run(at, "soda inspect a"), 0, "soda_lq");
    char layers[32];
    snprintf(layers, sizeof layers, "soda_lq, %d layers", changed);
    assert_non_null(strstr(program_output, layers));
    safetensors_close(before);
    safetensors_close(after);
    program_expect(program_run(at, "soda export m --to diffusers --out n --model m"), 1, "m");
    program_expect(
        program_run(at, "soda export a --to diffusers --out m --model %s --overwrite",
                    MODEL("sdxl")),
        1,
        "m: expected a new or empty folder, found one with files in it (--overwrite does not hold "
        "for folders");
    program_expect(
        program_run(at, "soda export a --to diffusers --out a --model %s", MODEL("sdxl")), 1,
        "a: expected a new or empty folder");
    program_expect(
        program_run(at, "mkdir e; soda export a --to diffusers --out e --model %s", MODEL("sdxl")),
        0, "adapted layers to e");
    program_expect(program_run(at,
                               "mkdir f; ln -s f link; soda export a --to diffusers --out link/ "
                               "--model %s && test -f f/model_index.json && test -L link",
                               MODEL("sdxl")),
                   0, "adapted layers to link");
    program_expect(program_run(at,
                               "ln -s nowhere lost; soda export a --to diffusers --out lost "
                               "--model %s",
                               MODEL("sdxl")),
                   1, "lost: expected a new or empty folder, found a symbolic link that leads");
    assert_null(strstr(program_output, "merging")); /* it shows before */
    program_expect(program_run(at,
                               "cp -r %s k && chmod -R u+w k && soda export a --to diffusers "
                               "--out k/new --model k",
                               MODEL("sdxl")),
                   1, "outside the model");
    program_expect(program_run(at, "ls k | grep new"), 1, "");
}

static void inspect_says_what_is_in_an_adapter(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a"), MODEL("sd1"), &method_soda_svd, true, 8);
    program_expect(program_run(at, "soda inspect a --model %s", MODEL("sd1")), 0, "soda_svd");
    static const char *const parts[] = {"width 24: R of 2 x 2 x 6",
                                        "degrees of freedom",
                                        "orthogonality: ||R'R - I|| at most",
                                        "delta: from -",
                                        "GFLOP",
                                        "base model: this one",
                                        "layers fit"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(program_output, parts[i])) fail_msg("no \"%s\":\n%s", parts[i], program_output);
    program_expect(program_run(at, "soda inspect a --model %s", MODEL("sd2")), 1, "a: tensor ");
}

/* An adapter is bound to its base; export binds it to another one on demand. */
static void another_base_is_refused_until_asked_for(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a"), MODEL("sd1"), &method_soda_svd, false, 8);
    program_expect(program_run(at,
                               "cp -r %s m && chmod -R u+w m && cd m/unet && "
                               "f=diffusion_pytorch_model.safetensors && "
                               "printf '\\0\\0\\0\\0' | dd of=$f bs=1 conv=notrunc "
                               "seek=$(($(stat -c %%s $f) - 4))",
                               MODEL("sd1")),
                   0, "");
    program_expect(program_run(at, "soda sample --model m --adapter a " SAMPLE " l"), 1,
                   "a: base_model_sha256: expected");
    program_expect(program_run(at, "soda export a --to adapter --model m --out b"), 0, "to b");
    program_expect(program_run(at, "soda sample --model m --adapter b " SAMPLE " l"), 0,
                   "1 picture");
}

static void usage_errors_exit_with_2(void **state)
{
    const char *at = *state;
    write_adapter(files_path(at, "a"), MODEL("sd1"), &method_soda_svd, false, 8);
    program_expect(program_run(at, "soda export a --to x --out b"), 2, "--to: expected adapter");
    program_expect(program_run(at, "soda export a --out b"), 2, "found none");
    program_expect(program_run(at, "soda export a --to diff"), 2, "--out PATH is missing");
    program_expect(program_run(at, "soda export --to diff --out b"), 2, "expected 1 operand");
    program_expect(program_run(at, "soda export a --to diff --out b"), 2, "give --model");
    program_expect(program_run(at, "soda export a --to diff --out none/b --model %s", MODEL("sd1")),
                   1, "none/b");
    program_expect(program_run(at, "soda export --help"), 0, "example: soda export");
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(diffusers_draws_from_an_export_what_the_adapter_draws,
                                        setup, files_teardown),
        cmocka_unit_test_setup_teardown(the_exported_folder_draws_the_same, setup, files_teardown),
        cmocka_unit_test_setup_teardown(weights_that_are_left_out_are_named, setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_variant_keeps_its_name, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(inspect_opens_data_pictures_and_tokenizers, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(weights_and_several_adapters_work, setup, files_teardown),
        cmocka_unit_test_setup_teardown(types_and_other_tensors_are_kept, setup, files_teardown),
        cmocka_unit_test_setup_teardown(inspect_says_what_is_in_an_adapter, setup, files_teardown),
        cmocka_unit_test_setup_teardown(another_base_is_refused_until_asked_for, setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(usage_errors_exit_with_2, setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
