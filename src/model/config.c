#include "model/config.h"

#include <stdio.h>
#include <string.h>

#include "model/keys.h"

/* Far above any model, and low enough that products of a few of them fit 64 bits. */
enum { MOST_WIDTH = 1 << 16, MOST_LAYERS = 1 << 10, MOST_SAMPLE = 1 << 14 };

int64_t config_vae_factor(const soda_vae_config *config) { return 1LL << (config->blocks - 1); }

/* One block type per level, each `plain` or `attention` (NULL: there is no such type). An absent
 * list of `count` levels is left as it is. */
static soda_status read_blocks(const soda_json *json, const char *key, const char *plain,
                               const char *attention, bool *has_attention, int *count)
{
    const char *type[MODEL_MAX_BLOCKS];
    int found = 0;
    TRY(soda_json_strings(json, key, type, MODEL_MAX_BLOCKS, &found));
    if (found == 0 && soda_json_is_list(json, key))
        return soda_json_refuse(json, key, "at least one block");
    if (found == 0) return SODA_OK;
    *count = found;
    for (int i = 0; i < found; i++) {
        const bool is_attention = attention && !strcmp(type[i], attention);
        if (!is_attention && strcmp(type[i], plain) != 0) {
            char expected[96];
            snprintf(expected, sizeof expected, "\"%s\"%s%s%s only", plain,
                     attention ? " or \"" : "", attention ? attention : "", attention ? "\"" : "");
            return soda_json_refuse(json, key, expected);
        }
        if (has_attention) has_attention[i] = is_attention;
    }
    return SODA_OK;
}

/* block_out_channels: as many as there are block types, each a multiple of norm_num_groups. */
static soda_status read_channels(const soda_json *json, const int64_t *missing, int missing_count,
                                 int blocks, int64_t groups, int64_t *channels)
{
    char expected[96];
    int count = 0;
    TRY(soda_json_ints(json, "block_out_channels", channels, MODEL_MAX_BLOCKS, &count));
    if (count == 0 && !soda_json_is_list(json, "block_out_channels")) {
        memcpy(channels, missing, (size_t)missing_count * sizeof *missing);
        count = missing_count;
    }
    if (count != blocks) {
        snprintf(expected, sizeof expected, "%d entries, as down_block_types has", blocks);
        return soda_json_refuse(json, "block_out_channels", expected);
    }
    for (int i = 0; i < blocks; i++) {
        if (channels[i] >= 1 && channels[i] <= MOST_WIDTH && channels[i] % groups == 0) continue;
        snprintf(expected, sizeof expected, "multiples of norm_num_groups (%lld), at most %d",
                 (long long)groups, MOST_WIDTH);
        return soda_json_refuse(json, "block_out_channels", expected);
    }
    return SODA_OK;
}

static soda_status read_unet_blocks(const soda_json *json, soda_unet_config *c)
{
    static const int64_t channels[] = {320, 640, 1280, 1280};
    int up_blocks = 4;
    c->blocks = 4;
    for (int i = 0; i < 4; i++) {
        c->down_attention[i] = i < 3;
        c->up_attention[i] = i > 0;
    }
    TRY(read_blocks(json, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D",
                    c->down_attention, &c->blocks));
    TRY(read_blocks(json, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", c->up_attention,
                    &up_blocks));
    if (up_blocks != c->blocks)
        return soda_json_refuse(json, "up_block_types", "as many entries as down_block_types has");
    TRY(keys_want_string(json, "mid_block_type", "UNetMidBlock2DCrossAttn"));
    if (soda_json_is_null(json, "mid_block_type")) /* diffusers: no middle block at all */
        return soda_json_refuse(json, "mid_block_type", "\"UNetMidBlock2DCrossAttn\"");
    if (soda_json_is_null(json, "norm_num_groups")) /* diffusers: no last norm */
        return soda_json_refuse(json, "norm_num_groups", "an integer");
    TRY(keys_int(json, "norm_num_groups", 32, 1, MOST_WIDTH, &c->groups));
    TRY(read_channels(json, channels, 4, c->blocks, c->groups, c->channels));
    TRY(keys_per_level(json, "layers_per_block", 2, MODEL_MAX_LAYERS, c->blocks, c->layers));
    TRY(keys_per_level(json, "attention_head_dim", 8, MOST_WIDTH, c->blocks, c->heads));
    TRY(keys_per_level(json, "transformer_layers_per_block", 1, MOST_LAYERS, c->blocks, c->depth));
    for (int i = 0; i < c->blocks; i++)
        if (c->heads[i] > c->channels[i])
            return soda_json_refuse(json, "attention_head_dim",
                                    "a number of heads that is at most block_out_channels");
    int64_t context[MODEL_MAX_BLOCKS];
    TRY(keys_per_level(json, "cross_attention_dim", 1280, MOST_WIDTH, c->blocks, context));
    for (int i = 1; i < c->blocks; i++)
        if (context[i] != context[0])
            return soda_json_refuse(json, "cross_attention_dim", "the same width for all levels");
    c->context = context[0];
    return SODA_OK;
}

static soda_status read_unet_time(const soda_json *json, soda_unet_config *c)
{
    double shift;
    TRY(keys_want_string(json, "time_embedding_type", "positional"));
    TRY(keys_int(json, "time_embedding_dim", 4 * c->channels[0], 1, 4 * MOST_WIDTH,
                 &c->time_width));
    TRY(soda_json_bool(json, "flip_sin_to_cos", true, &c->cos_first));
    TRY(soda_json_double(json, "freq_shift", 0, &shift));
    if (!(shift >= 0 && shift < 1)) /* the exponents are divided by half the width minus this */
        return soda_json_refuse(json, "freq_shift", "a number from 0 to below 1");
    c->shift = (float)shift;
    if (c->channels[0] % 2)
        return soda_json_refuse(json, "block_out_channels", "an even first width");

    const char *kind;
    TRY(soda_json_string(json, "addition_embed_type", NULL, &kind));
    if (!kind) return SODA_OK;
    TRY(keys_want_string(json, "addition_embed_type", "text_time"));
    c->text_time = true;
    int64_t total;
    TRY(soda_json_require(json, "addition_time_embed_dim"));
    TRY(soda_json_require(json, "projection_class_embeddings_input_dim"));
    TRY(keys_int(json, "addition_time_embed_dim", 0, 2, MOST_WIDTH, &c->time_id_width));
    if (c->time_id_width % 2)
        return soda_json_refuse(json, "addition_time_embed_dim", "an even number");
    TRY(keys_int(json, "projection_class_embeddings_input_dim", 0,
                 UNET_TIME_IDS * c->time_id_width + 1, 8 * MOST_WIDTH, &total));
    c->text_embeds = total - UNET_TIME_IDS * c->time_id_width;
    return SODA_OK;
}

/* SiLU, which diffusers knows by two names. */
static soda_status want_silu(const soda_json *json)
{
    const char *name;
    TRY(soda_json_string(json, "act_fn", "silu", &name));
    return strcmp(name, "swish") == 0 ? SODA_OK : keys_want_string(json, "act_fn", "silu");
}

/* Features that SD 1.x, 2.x and SDXL do not use. upcast_attention changes nothing: the softmax is
 * always fp32. addition_embed_type_num_heads belongs to another addition_embed_type. */
static soda_status refuse_unet_features(const soda_json *json)
{
    static const char *const null[] = {
        "num_attention_heads",  "class_embed_type",
        "num_class_embeds",     "encoder_hid_dim",
        "encoder_hid_dim_type", "time_cond_proj_dim",
        "timestep_post_act",    "time_embedding_act_fn",
        "cross_attention_norm", "reverse_transformer_layers_per_block",
    };
    static const char *const no[] = {
        "center_input_sample",  "only_cross_attention",    "mid_block_only_cross_attention",
        "dual_cross_attention", "class_embeddings_concat", "resnet_skip_time_act",
    };
    for (size_t i = 0; i < sizeof null / sizeof *null; i++) TRY(keys_want_null(json, null[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) TRY(keys_want_false(json, no[i]));
    TRY(keys_want_string(json, "resnet_time_scale_shift", "default"));
    TRY(keys_want_string(json, "attention_type", "default"));
    TRY(want_silu(json));
    TRY(keys_want_number(json, "resnet_out_scale_factor", 1));
    TRY(keys_want_number(json, "mid_block_scale_factor", 1));
    TRY(keys_want_number(json, "dropout", 0));
    return SODA_OK;
}

static soda_status read_kernel(const soda_json *json, const char *key, int64_t *size)
{
    TRY(keys_int(json, key, 3, 1, 31, size));
    return *size % 2 ? SODA_OK : soda_json_refuse(json, key, "an odd number");
}

/* Whether diffusers before 0.9 wrote the file. */
static soda_status is_older_than_0_9(const soda_json *json, bool *older)
{
    const char *version;
    int major = 0, minor = 0;
    TRY(soda_json_string(json, "_diffusers_version", "", &version));
    *older = sscanf(version, "%d.%d", &major, &minor) == 2 && major == 0 && minor < 9;
    return SODA_OK;
}

/* The first SD 1.x files say 32 where 64 is meant: StableDiffusionPipeline corrects that, so must
 * we. StableDiffusionXLPipeline does not. */
static soda_status read_sample_size(const soda_json *json, soda_unet_config *c)
{
    int64_t size[2] = {0, 0};
    int sizes = 0;
    bool older = false;
    TRY(soda_json_ints(json, "sample_size", size, 2, &sizes));
    if (sizes == 1) size[1] = size[0];
    if (sizes && (size[0] < 1 || size[0] > MOST_SAMPLE || size[1] < 1 || size[1] > MOST_SAMPLE))
        return soda_json_refuse(json, "sample_size", "a size from 1 to 16384");
    TRY(is_older_than_0_9(json, &older));
    const bool wrong =
        older && !c->text_time && sizes == 1 && !soda_json_is_list(json, "sample_size");
    c->sample_h = wrong && size[0] < 64 ? 64 : size[0];
    c->sample_w = wrong && size[1] < 64 ? 64 : size[1];
    return SODA_OK;
}

soda_status config_unet(const soda_json *json, soda_unet_config *c)
{
    *c = (soda_unet_config){0};
    TRY(keys_want_string(json, "_class_name", "UNet2DConditionModel"));
    TRY(refuse_unet_features(json));
    TRY(read_unet_blocks(json, c));
    TRY(read_unet_time(json, c));
    TRY(keys_int(json, "in_channels", 4, 1, MOST_WIDTH, &c->in_channels));
    TRY(keys_int(json, "out_channels", 4, 1, MOST_WIDTH, &c->out_channels));
    double eps;
    TRY(keys_positive(json, "norm_eps", 1e-5, &eps));
    c->eps = (float)eps;
    TRY(keys_int(json, "downsample_padding", 1, 0, 1, &c->downsample_padding));
    TRY(read_kernel(json, "conv_in_kernel", &c->kernel_in));
    TRY(read_kernel(json, "conv_out_kernel", &c->kernel_out));
    TRY(soda_json_bool(json, "use_linear_projection", false, &c->linear_projection));

    return read_sample_size(json, c);
}

soda_status config_vae(const soda_json *json, soda_vae_config *c)
{
    static const int64_t channels[] = {64};
    *c = (soda_vae_config){.blocks = 1};
    int up_blocks = 1;
    TRY(keys_want_string(json, "_class_name", "AutoencoderKL"));
    TRY(want_silu(json));
    TRY(keys_want_null(json, "shift_factor"));
    TRY(keys_want_null(json, "latents_mean"));
    TRY(keys_want_null(json, "latents_std"));
    TRY(read_blocks(json, "down_block_types", "DownEncoderBlock2D", NULL, NULL, &c->blocks));
    TRY(read_blocks(json, "up_block_types", "UpDecoderBlock2D", NULL, NULL, &up_blocks));
    if (up_blocks != c->blocks)
        return soda_json_refuse(json, "up_block_types", "as many entries as down_block_types has");
    TRY(keys_int(json, "norm_num_groups", 32, 1, MOST_WIDTH, &c->groups));
    TRY(read_channels(json, channels, 1, c->blocks, c->groups, c->channels));
    TRY(keys_int(json, "in_channels", 3, 1, MOST_WIDTH, &c->in_channels));
    TRY(keys_int(json, "out_channels", 3, 1, MOST_WIDTH, &c->out_channels));
    TRY(keys_int(json, "latent_channels", 4, 1, MOST_WIDTH, &c->latent_channels));
    TRY(keys_int(json, "layers_per_block", 1, 1, MODEL_MAX_LAYERS, &c->layers));
    TRY(keys_positive(json, "scaling_factor", 0.18215, &c->scaling_factor));
    TRY(soda_json_bool(json, "force_upcast", true, &c->force_upcast));
    TRY(soda_json_bool(json, "use_quant_conv", true, &c->quant_conv));
    TRY(soda_json_bool(json, "use_post_quant_conv", true, &c->post_quant_conv));
    TRY(soda_json_bool(json, "mid_block_add_attention", true, &c->mid_attention));
    return SODA_OK;
}

static soda_status read_clip_text(const soda_json *json, soda_clip_config *c)
{
    TRY(keys_int(json, "vocab_size", 49408, 1, INT32_MAX, &c->vocabulary));
    TRY(keys_int(json, "max_position_embeddings", 77, 1, MOST_WIDTH, &c->positions));
    TRY(keys_int(json, "hidden_size", 512, 1, MOST_WIDTH, &c->width));
    TRY(keys_int(json, "intermediate_size", 2048, 1, 8 * MOST_WIDTH, &c->inner));
    TRY(keys_int(json, "num_hidden_layers", 12, 1, MOST_LAYERS, &c->layers));
    TRY(keys_int(json, "num_attention_heads", 8, 1, MOST_WIDTH, &c->heads));
    if (c->width % c->heads)
        return soda_json_refuse(json, "num_attention_heads", "a divisor of hidden_size");
    TRY(keys_int(json, "projection_dim", 512, 1, MOST_WIDTH, &c->projection));
    TRY(keys_int(json, "eos_token_id", 49407, 0, INT32_MAX, &c->eos_token));
    double eps;
    TRY(keys_positive(json, "layer_norm_eps", 1e-5, &eps));
    c->eps = (float)eps;
    const char *activation;
    TRY(soda_json_string(json, "hidden_act", "quick_gelu", &activation));
    if (!strcmp(activation, "quick_gelu")) {
        c->activation = ACT_QUICK_GELU;
    } else if (!strcmp(activation, "gelu")) {
        c->activation = ACT_GELU;
    } else {
        return soda_json_refuse(json, "hidden_act", "\"quick_gelu\" or \"gelu\"");
    }
    return SODA_OK;
}

soda_status config_clip(const soda_json *json, soda_clip_config *c)
{
    *c = (soda_clip_config){0};
    const char *type;
    TRY(soda_json_string(json, "model_type", "clip_text_model", &type));
    if (strcmp(type, "clip_text_model") != 0 && strcmp(type, "clip") != 0)
        return soda_json_refuse(json, "model_type", "\"clip_text_model\" or \"clip\"");
    soda_json text; /* files written as CLIPConfig keep the text encoder's keys one level down */
    TRY(soda_json_child(json, "text_config", &text));
    return read_clip_text(text.object ? &text : json, c);
}

soda_status config_read_unet(const char *path, soda_unet_config *config)
{
    soda_json json;
    TRY(soda_json_load(path, &json));
    const soda_status s = config_unet(&json, config);
    soda_json_free(&json);
    return s;
}

soda_status config_read_vae(const char *path, soda_vae_config *config)
{
    soda_json json;
    TRY(soda_json_load(path, &json));
    const soda_status s = config_vae(&json, config);
    soda_json_free(&json);
    return s;
}

soda_status config_read_clip(const char *path, soda_clip_config *config)
{
    soda_json json;
    TRY(soda_json_load(path, &json));
    const soda_status s = config_clip(&json, config);
    soda_json_free(&json);
    return s;
}
