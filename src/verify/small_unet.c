#include "verify/small_unet.h"

#include <string.h>

static const char text[] =
    "{\"block_out_channels\": [32, 64], \"norm_num_groups\": 8, \"attention_head_dim\": 4,"
    " \"layers_per_block\": 1, \"cross_attention_dim\": 24,"
    " \"down_block_types\": [\"CrossAttnDownBlock2D\", \"DownBlock2D\"],"
    " \"up_block_types\": [\"UpBlock2D\", \"CrossAttnUpBlock2D\"]}";

soda_status small_unet(soda_unet_config *config)
{
    soda_json json;
    TRY(soda_json_parse(text, strlen(text), "selftest", &json));
    const soda_status s = config_unet(&json, config);
    soda_json_free(&json);
    return s;
}
