#include <stdio.h>
#include <string.h>

#include "model/config.h"
#include "support/check.h"

/* Reads TEXT, in which quotes are written as ', as a configuration of one kind. */
typedef soda_status (*reader)(const char *text);

static soda_unet_config unet;
static soda_vae_config vae;
static soda_clip_config clip;

static soda_status parse(const char *text, soda_json *json)
{
    char quoted[2048];
    snprintf(quoted, sizeof quoted, "%s", text);
    for (char *c = quoted; *c; c++)
        if (*c == '\'') *c = '"';
    return soda_json_parse(quoted, strlen(quoted), "config.json", json);
}

static soda_status read_unet(const char *text)
{
    soda_json json;
    TRY(parse(text, &json));
    const soda_status s = config_unet(&json, &unet);
    soda_json_free(&json);
    return s;
}

static soda_status read_vae(const char *text)
{
    soda_json json;
    TRY(parse(text, &json));
    const soda_status s = config_vae(&json, &vae);
    soda_json_free(&json);
    return s;
}

static soda_status read_clip(const char *text)
{
    soda_json json;
    TRY(parse(text, &json));
    const soda_status s = config_clip(&json, &clip);
    soda_json_free(&json);
    return s;
}

static void want_list(const int64_t *got, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t want[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) assert_int_equal(got[i], want[i]);
}

/* The values of UNet2DConditionModel.__init__ in diffusers 0.42.1. */
static void absent_unet_keys_take_the_constructor_defaults(void **state)
{
    (void)state;
    CHECK_OK(read_unet("{}"));
    assert_int_equal(unet.blocks, 4);
    want_list(unet.channels, 320, 640, 1280, 1280);
    want_list(unet.layers, 2, 2, 2, 2);
    want_list(unet.heads, 8, 8, 8, 8);
    want_list(unet.depth, 1, 1, 1, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(unet.down_attention[i], i < 3);
        assert_int_equal(unet.up_attention[i], i > 0);
    }
    assert_int_equal(unet.context, 1280);
    assert_int_equal(unet.groups, 32);
    assert_true(unet.eps == 1e-5f);
    assert_int_equal(unet.in_channels, 4);
    assert_int_equal(unet.out_channels, 4);
    assert_int_equal(unet.sample_h, 0);
    assert_int_equal(unet.downsample_padding, 1);
    assert_int_equal(unet.kernel_in, 3);
    assert_int_equal(unet.kernel_out, 3);
    assert_int_equal(unet.time_width, 1280);
    assert_true(unet.cos_first);
    assert_true(unet.shift == 0);
    assert_false(unet.linear_projection);
    assert_false(unet.text_time);
}

static void a_number_stands_for_all_levels_and_a_list_for_each(void **state)
{
    (void)state;
    CHECK_OK(read_unet("{'attention_head_dim': [5, 10, 20, 20], 'layers_per_block': 3,"
                       " 'transformer_layers_per_block': [1, 2, 10, 4], 'sample_size': [96, 64]}"));
    want_list(unet.heads, 5, 10, 20, 20);
    want_list(unet.layers, 3, 3, 3, 3);
    want_list(unet.depth, 1, 2, 10, 4);
    assert_int_equal(unet.sample_h, 96);
    assert_int_equal(unet.sample_w, 64);
}

static void sample_sizes_of_the_first_files_are_corrected(void **state)
{
    (void)state;
    CHECK_OK(read_unet("{'sample_size': 32, '_diffusers_version': '0.6.0.dev0'}"));
    assert_int_equal(unet.sample_h, 64);
    assert_int_equal(unet.sample_w, 64);
    CHECK_OK(read_unet("{'sample_size': 32, '_diffusers_version': '0.9.0'}"));
    assert_int_equal(unet.sample_h, 32);
    CHECK_OK(read_unet("{'sample_size': 96, '_diffusers_version': '0.8.0'}"));
    assert_int_equal(unet.sample_w, 96);
    CHECK_OK(read_unet("{'sample_size': 32, '_diffusers_version': '0.8.0',"
                       " 'addition_embed_type': 'text_time', 'addition_time_embed_dim': 256,"
                       " 'projection_class_embeddings_input_dim': 2816}"));
    assert_int_equal(unet.sample_w, 32);
}

static void sdxl_pooled_width_is_what_the_six_numbers_leave(void **state)
{
    (void)state;
    CHECK_OK(read_unet("{'addition_embed_type': 'text_time', 'addition_time_embed_dim': 256,"
                       " 'projection_class_embeddings_input_dim': 2816}"));
    assert_true(unet.text_time);
    assert_int_equal(unet.time_id_width, 256);
    assert_int_equal(unet.text_embeds, 1280);
}

/* The values of AutoencoderKL.__init__ and CLIPTextConfig. */
static void absent_vae_and_clip_keys_take_the_constructor_defaults(void **state)
{
    (void)state;
    CHECK_OK(read_vae("{}"));
    assert_int_equal(vae.blocks, 1);
    assert_int_equal(vae.channels[0], 64);
    assert_int_equal(vae.layers, 1);
    assert_int_equal(vae.groups, 32);
    assert_int_equal(vae.in_channels, 3);
    assert_int_equal(vae.out_channels, 3);
    assert_int_equal(vae.latent_channels, 4);
    assert_true(vae.scaling_factor == 0.18215);
    assert_true(vae.force_upcast && vae.quant_conv && vae.post_quant_conv && vae.mid_attention);
    CHECK_OK(read_clip("{}"));
    assert_int_equal(clip.vocabulary, 49408);
    assert_int_equal(clip.positions, 77);
    assert_int_equal(clip.width, 512);
    assert_int_equal(clip.inner, 2048);
    assert_int_equal(clip.layers, 12);
    assert_int_equal(clip.heads, 8);
    assert_int_equal(clip.projection, 512);
    assert_int_equal(clip.activation, ACT_QUICK_GELU);
    assert_int_equal(clip.eos_token, 49407);
    assert_true(clip.eps == 1e-5f);
}

static void vae_factor_is_two_to_the_blocks_but_one(void **state)
{
    (void)state;
    CHECK_OK(read_vae("{'block_out_channels': [32, 64, 96], 'down_block_types':"
                      " ['DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D'],"
                      " 'up_block_types': ['UpDecoderBlock2D', 'UpDecoderBlock2D',"
                      " 'UpDecoderBlock2D']}"));
    assert_int_equal(config_vae_factor(&vae), 4);
}

static void a_nested_text_config_is_read(void **state)
{
    (void)state;
    CHECK_OK(read_clip("{'model_type': 'clip', 'hidden_size': 9, 'text_config':"
                       " {'hidden_size': 768, 'num_attention_heads': 12, 'hidden_act': 'gelu'}}"));
    assert_int_equal(clip.width, 768);
    assert_int_equal(clip.heads, 12);
    assert_int_equal(clip.activation, ACT_GELU);
}

typedef struct {
    reader read;
    const char *text, *key, *part; /* the message names both */
} refusal;

static const refusal refusals[] = {
    {read_unet, "{'_class_name': 'UNet2DModel'}", "_class_name", "UNet2DConditionModel"},
    {read_unet, "{'num_attention_heads': 8}", "num_attention_heads", "null"},
    {read_unet, "{'class_embed_type': 'timestep'}", "class_embed_type", "null"},
    {read_unet, "{'num_class_embeds': 10}", "num_class_embeds", "null"},
    {read_unet, "{'encoder_hid_dim': 1024}", "encoder_hid_dim", "null"},
    {read_unet, "{'encoder_hid_dim_type': 'text_proj'}", "encoder_hid_dim_type", "null"},
    {read_unet, "{'time_cond_proj_dim': 256}", "time_cond_proj_dim", "null"},
    {read_unet, "{'timestep_post_act': 'silu'}", "timestep_post_act", "null"},
    {read_unet, "{'time_embedding_act_fn': 'silu'}", "time_embedding_act_fn", "null"},
    {read_unet, "{'cross_attention_norm': 'layer_norm'}", "cross_attention_norm", "null"},
    {read_unet, "{'reverse_transformer_layers_per_block': [[1]]}", "reverse_transformer", "null"},
    {read_unet, "{'center_input_sample': true}", "center_input_sample", "false"},
    {read_unet, "{'only_cross_attention': [false, true, false, false]}", "only_cross", "false"},
    {read_unet, "{'mid_block_only_cross_attention': true}", "mid_block_only_cross", "false"},
    {read_unet, "{'dual_cross_attention': true}", "dual_cross_attention", "false"},
    {read_unet, "{'class_embeddings_concat': true}", "class_embeddings_concat", "false"},
    {read_unet, "{'resnet_skip_time_act': true}", "resnet_skip_time_act", "false"},
    {read_unet, "{'resnet_time_scale_shift': 'scale_shift'}", "resnet_time_scale", "default"},
    {read_unet, "{'attention_type': 'gated'}", "attention_type", "default"},
    {read_unet, "{'act_fn': 'gelu'}", "act_fn", "silu"},
    {read_unet, "{'resnet_out_scale_factor': 2.0}", "resnet_out_scale_factor", "1"},
    {read_unet, "{'mid_block_scale_factor': 1.41}", "mid_block_scale_factor", "1"},
    {read_unet, "{'dropout': 0.1}", "dropout", "0"},
    {read_unet, "{'time_embedding_type': 'fourier'}", "time_embedding_type", "positional"},
    {read_unet, "{'mid_block_type': null}", "mid_block_type", "UNetMidBlock2DCrossAttn"},
    {read_unet, "{'mid_block_type': 'UNetMidBlock2D'}", "mid_block_type", "CrossAttn"},
    {read_unet, "{'norm_num_groups': null}", "norm_num_groups", "integer"},
    {read_unet, "{'norm_num_groups': 48}", "block_out_channels", "norm_num_groups"},
    {read_unet, "{'norm_num_groups': 0}", "norm_num_groups", "from 1"},
    {read_unet, "{'norm_eps': 0}", "norm_eps", "above 0"},
    {read_unet, "{'freq_shift': 160}", "freq_shift", "below 1"},
    {read_unet, "{'downsample_padding': 2}", "downsample_padding", "from 0 to 1"},
    {read_unet, "{'conv_in_kernel': 4}", "conv_in_kernel", "odd"},
    {read_unet, "{'conv_out_kernel': 2}", "conv_out_kernel", "odd"},
    {read_unet, "{'down_block_types': []}", "down_block_types", "at least one"},
    {read_unet, "{'down_block_types': ['AttnDownBlock2D']}", "down_block_types", "DownBlock2D"},
    {read_unet, "{'up_block_types': ['UpBlock2D']}", "up_block_types", "down_block_types"},
    {read_unet, "{'block_out_channels': [32, 64]}", "block_out_channels", "4 entries"},
    {read_unet, "{'block_out_channels': [32, 64, 96, -32]}", "block_out_channels", "multiples"},
    {read_unet, "{'block_out_channels': 'wide'}", "block_out_channels", "integer"},
    {read_unet, "{'attention_head_dim': [8, 8]}", "attention_head_dim", "4 levels"},
    {read_unet, "{'attention_head_dim': 0}", "attention_head_dim", "from 1"},
    {read_unet, "{'attention_head_dim': 321}", "attention_head_dim", "block_out_channels"},
    {read_unet, "{'layers_per_block': 65}", "layers_per_block", "from 1 to 64"},
    {read_unet, "{'cross_attention_dim': [768, 768, 768, 1024]}", "cross_attention_dim", "same"},
    {read_unet, "{'in_channels': 1e3}", "in_channels", "integer"},
    {read_unet, "{'sample_size': 0}", "sample_size", "from 1"},
    {read_unet, "{'addition_embed_type': 'image'}", "addition_embed_type", "text_time"},
    {read_unet, "{'addition_embed_type': 'text_time'}", "addition_time_embed_dim", "nothing"},
    {read_unet,
     "{'addition_embed_type': 'text_time', 'addition_time_embed_dim': 256,"
     " 'projection_class_embeddings_input_dim': 1536}",
     "projection_class_embeddings_input_dim", "1537"},
    {read_vae, "{'_class_name': 'AsymmetricAutoencoderKL'}", "_class_name", "AutoencoderKL"},
    {read_vae, "{'shift_factor': 0.1}", "shift_factor", "null"},
    {read_vae, "{'latents_mean': [0, 0, 0, 0]}", "latents_mean", "null"},
    {read_vae, "{'latents_std': [1, 1, 1, 1]}", "latents_std", "null"},
    {read_vae, "{'act_fn': 'relu'}", "act_fn", "silu"},
    {read_vae, "{'scaling_factor': 0}", "scaling_factor", "above 0"},
    {read_vae, "{'down_block_types': ['AttnDownEncoderBlock2D']}", "down_block_types", "only"},
    {read_vae, "{'force_upcast': 'yes'}", "force_upcast", "true or false"},
    {read_clip, "{'model_type': 't5'}", "model_type", "clip"},
    {read_clip, "{'hidden_act': 'relu'}", "hidden_act", "quick_gelu"},
    {read_clip, "{'num_attention_heads': 7}", "num_attention_heads", "divisor"},
    {read_clip, "{'eos_token_id': [1, 2]}", "eos_token_id", "integer"},
    {read_clip, "{'text_config': {'vocab_size': 0}}", "text_config.vocab_size", "from 1"},
};

/* One key at a time, each wrong in its own way: one error that names file, key and what it wants.
 */
static void what_soda_cannot_honour_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        CHECK_FAILS(refusals[i].read(refusals[i].text), SODA_ERR_INPUT);
        check_message_has("config.json: ");
        check_message_has(refusals[i].key);
        check_message_has(refusals[i].part);
    }
}

/* Saying what is the default anyway, or what changes nothing, is fine. */
static void harmless_values_are_accepted(void **state)
{
    (void)state;
    CHECK_OK(read_unet("{'upcast_attention': true, 'addition_embed_type_num_heads': 64,"
                       " 'only_cross_attention': [false, false, false, false], 'dropout': 0.0,"
                       " 'mid_block_scale_factor': 1, 'class_embed_type': null, 'act_fn': 'swish',"
                       " 'some_key_of_the_future': 3}"));
    CHECK_OK(read_vae("{'act_fn': 'swish'}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_unet_keys_take_the_constructor_defaults),
        cmocka_unit_test(a_number_stands_for_all_levels_and_a_list_for_each),
        cmocka_unit_test(sample_sizes_of_the_first_files_are_corrected),
        cmocka_unit_test(sdxl_pooled_width_is_what_the_six_numbers_leave),
        cmocka_unit_test(absent_vae_and_clip_keys_take_the_constructor_defaults),
        cmocka_unit_test(vae_factor_is_two_to_the_blocks_but_one),
        cmocka_unit_test(a_nested_text_config_is_read),
        cmocka_unit_test(what_soda_cannot_honour_is_refused_by_name),
        cmocka_unit_test(harmless_values_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
