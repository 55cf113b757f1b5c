#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/folder.h"
#include "support/check.h"
#include "support/files.h"

static const char *tiny(const char *family) { return files_path(SODA_TEST_DIR "/golden", family); }

/* A copy of tiny-FAMILY as FOLDER/model that a test may break. */
static const char *copy(void **state, const char *family)
{
    char command[2200];
    const char *to = files_path(*state, "model");
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, tiny(family), to);
    assert_int_equal(system(command), 0);
    return to;
}

/* Replaces the first `old` in a text file of the copy; there must be one. */
static void edit(const char *folder, const char *file, const char *old, const char *new)
{
    size_t bytes;
    const char *path = files_path(folder, file);
    char *text = files_read(path, &bytes), *at = strstr(text, old);
    if (!at) fail_msg("%s holds no %s", path, old);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fprintf(out, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    fclose(out);
    free(text);
}

static void all_three_families_open(void **state)
{
    (void)state;
    soda_folder *f;
    CHECK_OK(folder_open(tiny("tiny-sd1"), &f));
    assert_false(f->xl);
    assert_int_equal(f->texts, 1);
    assert_false(f->text_projection[0]);
    assert_string_equal(f->scheduler, "PNDMScheduler");
    assert_int_equal(f->text[0].activation, ACT_QUICK_GELU);
    folder_close(f);
    CHECK_OK(folder_open(tiny("tiny-sd2"), &f));
    assert_string_equal(f->scheduler, "DDIMScheduler");
    assert_true(f->unet.linear_projection);
    folder_close(f);
    CHECK_OK(folder_open(tiny("tiny-sdxl"), &f));
    assert_true(f->xl && f->zero_empty_negative);
    assert_int_equal(f->texts, 2);
    assert_false(f->text_projection[0]);
    assert_true(f->text_projection[1]);
    assert_int_equal(f->unet.text_embeds, 20);
    folder_close(f);
}

static void a_folder_without_an_index_is_refused(void **state)
{
    soda_folder *f;
    CHECK_FAILS(folder_open(*state, &f), SODA_ERR_IO);
    check_message_has("/model_index.json");
    assert_null(f);
}

typedef struct {
    const char *family, *file, *old, *new, *key, *part;
} breakage;

static const breakage breakages[] = {
    {"tiny-sd1", "model_index.json", "StableDiffusionPipeline", "StableDiffusion3Pipeline",
     "model_index.json: _class_name", "StableDiffusionXLPipeline"},
    {"tiny-sd1", "model_index.json", "\"_class_name\"", "\"_class\"", "_class_name", "nothing"},
    {"tiny-sd1", "model_index.json", "UNet2DConditionModel", "UNet3DConditionModel",
     "model_index.json: unet", "UNet2DConditionModel"},
    {"tiny-sd1", "model_index.json", "AutoencoderKL", "AutoencoderTiny", "vae", "AutoencoderKL"},
    {"tiny-sd1", "model_index.json", "CLIPTextModel", "T5EncoderModel", "text_encoder",
     "CLIPTextModel"},
    {"tiny-sd1", "model_index.json", "\"vae\"", "\"vea\"", "model_index.json: vae", "nothing"},
    {"tiny-sdxl", "model_index.json", "CLIPTextModelWithProjection", "CLIPTextModel",
     "text_encoder_2", "CLIPTextModelWithProjection"},
    {"tiny-sd1", "model_index.json", "{", "{{", "model_index.json:1:", "JSON"},
    {"tiny-sd1", "unet/config.json", "\"cross_attention_dim\": 24", "\"cross_attention_dim\": 32",
     "unet/config.json: cross_attention_dim", "expected 24"},
    {"tiny-sd1", "unet/config.json", "{", "{\"in_channels\": 9,", "unet/config.json: in_channels",
     "expected 4"},
    {"tiny-sd1", "model_index.json", "StableDiffusionPipeline", "StableDiffusionXLPipeline",
     "tokenizer_2", "nothing"},
    {"tiny-sdxl", "unet/config.json", "\"text_time\"", "null",
     "unet/config.json: addition_embed_type", "text_time"},
    {"tiny-sdxl", "text_encoder_2/config.json", "\"projection_dim\": 20", "\"projection_dim\": 24",
     "projection_class_embeddings_input_dim", "96"},
    {"tiny-sdxl", "text_encoder/config.json", "\"hidden_size\": 16", "\"hidden_size\": 18",
     "cross_attention_dim", "expected 42"},
};

/* One edit at a time: one error that names the file, the key and what was expected. */
static void folders_that_do_not_fit_together_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof breakages / sizeof *breakages; i++) {
        const breakage *b = &breakages[i];
        soda_folder *f;
        const char *folder = copy(state, b->family);
        edit(folder, b->file, b->old, b->new);
        CHECK_FAILS(folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has(b->key);
        check_message_has(b->part);
        assert_null(f);
    }
}

static const char weights_file[] = "unet/diffusion_pytorch_model.safetensors";

/* Writes the U-Net's weights of the copy anew: tensor `name` is dropped, or gets the first
 * dimension `rows` and a new name. */
static void rewrite(const char *folder, const char *name, const char *new_name, int64_t rows)
{
    soda_safetensors *set;
    const char *path = files_path(folder, weights_file);
    CHECK_OK(safetensors_open(path, &set));
    const int count = safetensors_count(set);
    safetensors_tensor *t = calloc((size_t)count, sizeof *t);
    assert_non_null(t);
    int kept = 0;
    for (int i = 0; i < count; i++) {
        t[kept] = *safetensors_at(set, i);
        if (!strcmp(t[kept].name, name)) {
            if (!new_name) continue;
            t[kept].name = new_name;
            if (rows) t[kept].dim[0] = rows; /* fewer than there were: the rest is not written */
        }
        kept++;
    }
    const char *fresh = files_path(folder, "fresh.safetensors");
    CHECK_OK(safetensors_write(fresh, t, kept, NULL, 0));
    free(t);
    safetensors_close(set);
    assert_int_equal(rename(fresh, path), 0);
}

static void check_weights_refused(const char *folder, const char *part, const char *other)
{
    soda_folder *f;
    folder_weights weights;
    CHECK_OK(folder_open(folder, &f));
    CHECK_FAILS(folder_weights_open(f, FOLDER_UNET, &weights), SODA_ERR_INPUT);
    check_message_has(weights_file);
    check_message_has(part);
    check_message_has(other);
    assert_null(weights.set);
    folder_close(f);
}

static void a_missing_tensor_is_named(void **state)
{
    const char *folder = copy(state, "tiny-sd1");
    rewrite(folder, "mid_block.resnets.1.conv2.bias", NULL, 0);
    check_weights_refused(folder, "mid_block.resnets.1.conv2.bias", "");
}

static void a_misshapen_tensor_is_named_with_both_shapes(void **state)
{
    const char *folder = copy(state, "tiny-sd1");
    rewrite(folder, "conv_in.weight", "conv_in.weight", 11);
    check_weights_refused(folder, "[12,4,3,3]", "[11,4,3,3]");
}

static void a_linear_weight_where_a_1x1_convolution_belongs_is_refused(void **state)
{
    const char *folder = copy(state, "tiny-sd1");
    edit(folder, "unet/config.json", "{", "{\"use_linear_projection\": true,");
    check_weights_refused(folder, "proj_in.weight", "[12,12,1,1]");
}

/* Unpadded convolutions need something to halve at every level: one pixel is not enough. */
static void a_folder_that_halves_without_padding_is_loaded(void **state)
{
    soda_folder *f;
    folder_weights weights;
    const char *folder = copy(state, "tiny-sd1");
    edit(folder, "unet/config.json", "{", "{\"downsample_padding\": 0,");
    CHECK_OK(folder_open(folder, &f));
    CHECK_OK(folder_weights_open(f, FOLDER_UNET, &weights));
    folder_weights_close(&weights);
    folder_close(f);
}

static void a_tensor_that_nobody_asks_for_is_a_warning(void **state)
{
    (void)state;
    const char *folder = tiny("tiny-sd1");
    char text[1024] = "";
    soda_folder *f;
    folder_weights weights;
    CHECK_OK(folder_open(folder, &f));
    f->vae.mid_attention = false; /* its tensors are now left over */
    fflush(stderr);
    FILE *log = tmpfile();
    assert_non_null(log);
    const int saved = dup(STDERR_FILENO);
    dup2(fileno(log), STDERR_FILENO);
    const soda_status s = folder_weights_open(f, FOLDER_VAE, &weights);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    CHECK_OK(s);
    rewind(log);
    assert_true(fread(text, 1, sizeof text - 1, log) > 0);
    fclose(log);
    assert_non_null(strstr(text, "warning"));
    assert_non_null(strstr(text, "decoder.mid_block.attentions.0.group_norm.bias"));
    folder_weights_close(&weights);
    folder_close(f);
}

static void weight_names_carry_the_component(void **state)
{
    (void)state;
    soda_folder *f;
    folder_weights weights;
    soda_weight found;
    CHECK_OK(folder_open(tiny("tiny-sdxl"), &f));
    CHECK_OK(folder_weights_open(f, FOLDER_TEXT_ENCODER_2, &weights));
    CHECK_OK(
        weights.source->find(weights.source, "text_projection.weight", &SHAPE(20, 24), &found));
    assert_string_equal(found.name, "text_encoder_2.text_projection.weight");
    folder_weights_close(&weights);
    folder_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_families_open),
        cmocka_unit_test(a_folder_without_an_index_is_refused),
        cmocka_unit_test(folders_that_do_not_fit_together_are_refused),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_misshapen_tensor_is_named_with_both_shapes),
        cmocka_unit_test(a_linear_weight_where_a_1x1_convolution_belongs_is_refused),
        cmocka_unit_test(a_folder_that_halves_without_padding_is_loaded),
        cmocka_unit_test(a_tensor_that_nobody_asks_for_is_a_warning),
        cmocka_unit_test(weight_names_carry_the_component),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
