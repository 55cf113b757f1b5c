/* Differences for LyCORIS, A1111 and ComfyUI: their names and values. */
#include "export_case.h"

#include <math.h>

#include "adapter/merge.h"
#include "core/log.h"
#include "interop/export.h"
#include "interop/merged.h"
#include "io/newfile.h"
#include "io/safetensors.h"

/* keys[i] must be there and hold W - W0 of weights[i]. */
static void check_diff(const char *at, const char *model, const char *const *keys,
                       const char *const *weights, int count)
{
    soda_folder *folder;
    soda_adapter *adapter;
    soda_safetensors *set;
    CHECK_OK(folder_open(model, &folder));
    CHECK_OK(adapter_read(files_path(at, "a"), &adapter));
    CHECK_OK(safetensors_open(files_path(at, "d"), &set));
    assert_int_equal(safetensors_count(set), adapter->count);
    const adapter_use use = {adapter, 1};
    const adapter_uses uses = {&use, 1};
    const folder_component list[] = {FOLDER_UNET, FOLDER_TEXT_ENCODER, FOLDER_TEXT_ENCODER_2};
    int found = 0;
    for (int c = 0; c < 1 + folder->texts; c++) {
        folder_weights files;
        merged_weights *merged;
        CHECK_OK(folder_weights_open(folder, list[c], &files));
        CHECK_OK(merged_create(folder, list[c], files.source, &uses, MERGED_F32, &merged));
        for (int i = 0; i < count; i++) {
            const soda_weight *w = merged_find(merged, weights[i]);
            if (!w) continue;
            const safetensors_tensor *t = safetensors_find(set, keys[i]);
            assert_true(t && t->rank == 2 && t->dim[0] == w->source.shape.dim[0] &&
                        t->dim[1] == w->source.shape.dim[1] && t->dtype == SAFETENSORS_F32);
            const int64_t n = t->dim[0] * t->dim[1];
            float *w0 = malloc((size_t)n * 8), *diff = w0 + n;
            assert_non_null(w0);
            CHECK_OK(safetensors_read_f32(t, diff));
            CHECK_OK(
                safetensors_read_f32(safetensors_find(files.set, strchr(weights[i], '.') + 1), w0));
            const float *W = w->source.data;
            for (int64_t k = 0; k < n; k++) w0[k] += diff[k];
            check_max_diff(w0, W, n, 0x1p-22); /* elements below 2: two roundings of 2^-24 */
            free(w0);
            found++;
        }
        merged_destroy(merged);
        folder_weights_close(&files);
    }
    assert_int_equal(found, count);
    safetensors_close(set);
    adapter_close(adapter);
    folder_close(folder);
}

static void differences_have_kohyas_names(void **state)
{
    static const char *const sd1_keys[] = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.diff",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0.diff",
        "lora_te_text_model_encoder_layers_1_self_attn_out_proj.diff"};
    static const char *const sd1_weights[] = {
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.weight",
        "text_encoder.text_model.encoder.layers.1.self_attn.out_proj.weight"};
    /* tiny-sdxl has one ResNet block a level: 2 modules down, 2 up */
    static const char *const xl_keys[] = {
        "lora_unet_input_blocks_3_1_transformer_blocks_1_attn2_to_k.diff",
        "lora_unet_middle_block_1_transformer_blocks_2_attn1_to_v.diff",
        "lora_unet_output_blocks_1_1_transformer_blocks_0_attn1_to_out_0.diff",
        "lora_unet_output_blocks_2_1_transformer_blocks_1_attn1_to_q.diff",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.diff",
        "lora_te2_text_model_encoder_layers_0_self_attn_k_proj.diff"};
    static const char *const xl_weights[] = {
        "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight",
        "unet.mid_block.attentions.0.transformer_blocks.2.attn1.to_v.weight",
        "unet.up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0.weight",
        "unet.up_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q.weight",
        "text_encoder.encoder.layers.0.self_attn.q_proj.weight",
        "text_encoder_2.text_model.encoder.layers.0.self_attn.k_proj.weight"};
    const char *at = *state;
    write_adapter(files_path(at, "a"), MODEL("sd1"), &method_soda_svd, true, 8);
    program_expect(program_run(at, "soda export a --to diff --out d --model %s", MODEL("sd1")), 0,
                   "to d");
    check_diff(at, MODEL("sd1"), sd1_keys, sd1_weights, 3);
    write_adapter(files_path(at, "a"), MODEL("sdxl"), &method_soda_svd, true, 8);
    program_expect(
        program_run(at, "soda export a --to diff --out d --overwrite --model %s", MODEL("sdxl")), 0,
        "to d");
    check_diff(at, MODEL("sdxl"), xl_keys, xl_weights, 6);
}

/* SDXL itself: the names of kohya's trainer, by hand from its table (two ResNet blocks a level). */
static void sdxl_keys_are_the_known_ones(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"unet.down_blocks.1.attentions.0.proj_in.weight",
         "lora_unet_input_blocks_4_1_proj_in.diff"},
        {"unet.down_blocks.2.attentions.1.transformer_blocks.9.ff.net.0.proj.weight",
         "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_0_proj.diff"},
        {"unet.up_blocks.0.attentions.2.transformer_blocks.0.attn2.to_out.0.weight",
         "lora_unet_output_blocks_2_1_transformer_blocks_0_attn2_to_out_0.diff"},
        {"unet.up_blocks.1.attentions.1.proj_out.weight",
         "lora_unet_output_blocks_4_1_proj_out.diff"},
        {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight",
         "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q.diff"},
        {"unet.mid_block.resnets.1.time_emb_proj.weight",
         "lora_unet_middle_block_2_emb_layers_1.diff"},
        {"unet.down_blocks.0.resnets.1.time_emb_proj.weight",
         "lora_unet_input_blocks_2_0_emb_layers_1.diff"},
        {"unet.time_embedding.linear_2.weight", "lora_unet_time_embed_2.diff"},
        {"unet.add_embedding.linear_1.weight", "lora_unet_label_emb_0_0.diff"},
        {"text_encoder_2.text_projection.weight", "lora_te2_text_projection.diff"},
    };
    const soda_folder folder = {.xl = true, .unet = {.blocks = 3, .layers = {2, 2, 2}}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char key[256];
        export_diff_key(&folder, pairs[i][0], key, sizeof key);
        assert_string_equal(key, pairs[i][1]);
    }
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(differences_have_kohyas_names, setup, files_teardown),
        cmocka_unit_test(sdxl_keys_are_the_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
