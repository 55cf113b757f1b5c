#include "app/archs.h"
#include "core/path.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* unet/config.json of the published models; keys that are left out have diffusers' defaults. */
static const char *const published[][2] = {
    {"sd15", "{\"sample_size\": 64, \"block_out_channels\": [320, 640, 1280, 1280],"
             " \"cross_attention_dim\": 768, \"attention_head_dim\": 8}"},
    {"sd21", "{\"sample_size\": 96, \"block_out_channels\": [320, 640, 1280, 1280],"
             " \"cross_attention_dim\": 1024, \"attention_head_dim\": [5, 10, 20, 20],"
             " \"use_linear_projection\": true}"},
    {"sdxl",
     "{\"sample_size\": 128, \"block_out_channels\": [320, 640, 1280],"
     " \"down_block_types\": [\"DownBlock2D\", \"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\"],"
     " \"up_block_types\": [\"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\", \"UpBlock2D\"],"
     " \"transformer_layers_per_block\": [1, 2, 10], \"cross_attention_dim\": 2048,"
     " \"attention_head_dim\": [5, 10, 20], \"use_linear_projection\": true,"
     " \"addition_embed_type\": \"text_time\", \"addition_time_embed_dim\": 256,"
     " \"projection_class_embeddings_input_dim\": 2816}"},
};

soda_status arch_find(const char *name, soda_unet_config *config)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        if (strcmp(name, published[i][0]) != 0) continue;
        soda_json json;
        TRY(soda_json_parse(published[i][1], strlen(published[i][1]), name, &json));
        const soda_status s = config_unet(&json, config);
        soda_json_free(&json);
        return s;
    }
    char path[4096];
    if (access(name, F_OK) != 0)
        return FAIL(SODA_ERR_USAGE,
                    "--arch: expected sd15, sd21, sdxl or a model folder, found '%s'", name);
    TRY(path_in(path, sizeof path, name, "unet/config.json"));
    return config_read_unet(path, config);
}
