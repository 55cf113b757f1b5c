/* config.h: the checked values of a component's config.json, with the defaults of diffusers 0.42
 * and transformers for keys that are absent. A value that soda cannot honour is refused:
 * SODA_ERR_INPUT names file and key, what was expected and what was found. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"
#include "graph/op.h"

enum {
    MODEL_MAX_BLOCKS = 8,
    MODEL_MAX_LAYERS = 64, /* ResNet blocks per level */
    UNET_TIME_IDS = 6,     /* SDXL: original h, w; crop top, left; target h, w */
};

/* UNet2DConditionModel. Lists are per level of resolution, finest first; the way up reverses them.
 */
typedef struct {
    int blocks;
    int64_t in_channels, out_channels;
    int64_t sample_h, sample_w; /* latent size it was made for; 0 if not given */
    int64_t channels[MODEL_MAX_BLOCKS];
    int64_t layers[MODEL_MAX_BLOCKS]; /* ResNet blocks on the way down; one more on the way up */
    int64_t heads[MODEL_MAX_BLOCKS];  /* the key is called attention_head_dim: diffusers #2011 */
    int64_t depth[MODEL_MAX_BLOCKS];  /* transformer blocks per attention module */
    bool down_attention[MODEL_MAX_BLOCKS]; /* CrossAttnDownBlock2D or DownBlock2D */
    bool up_attention[MODEL_MAX_BLOCKS];   /* in the order of up_block_types: coarsest first */
    int64_t context;                       /* width of encoder_hidden_states */
    int64_t groups;
    float eps;                     /* of the ResNet group norms and conv_norm_out */
    int64_t downsample_padding;    /* 1, or 0: one row and column at the far end only */
    int64_t kernel_in, kernel_out; /* of conv_in and conv_out, odd */
    bool linear_projection;        /* proj_in and proj_out are Linear instead of 1x1 Conv2d */
    int64_t time_width;            /* of the time embedding after its MLP */
    bool cos_first;                /* flip_sin_to_cos */
    float shift;                   /* freq_shift */
    bool text_time;                /* SDXL: adds an embedding of pooled text and six numbers */
    int64_t text_embeds;           /* text_time: width of the pooled text */
    int64_t time_id_width;         /* text_time: sinusoid width of each of the six numbers */
} soda_unet_config;

/* AutoencoderKL. */
typedef struct {
    int blocks;
    int64_t in_channels, out_channels, latent_channels;
    int64_t channels[MODEL_MAX_BLOCKS];
    int64_t layers;
    int64_t groups;
    bool quant_conv, post_quant_conv, mid_attention;
    bool force_upcast; /* run in fp32 even if the rest does not */
    double scaling_factor;
} soda_vae_config;

/* CLIPTextModel and CLIPTextModelWithProjection. */
typedef struct {
    int64_t vocabulary, positions;
    int64_t width, inner, layers, heads;
    int64_t projection; /* width of text_embeds, where the class has them */
    soda_activation activation;
    float eps;
    int64_t eos_token; /* 2: pool at the largest id, else at the first id equal to this one */
} soda_clip_config;

/* A picture side is this many times the latent side: 2^(blocks - 1). */
int64_t config_vae_factor(const soda_vae_config *config);

soda_status config_unet(const soda_json *json, soda_unet_config *config);
soda_status config_vae(const soda_json *json, soda_vae_config *config);
soda_status config_clip(const soda_json *json, soda_clip_config *config);

/* The same from file `path`. */
soda_status config_read_unet(const char *path, soda_unet_config *config);
soda_status config_read_vae(const char *path, soda_vae_config *config);
soda_status config_read_clip(const char *path, soda_clip_config *config);
