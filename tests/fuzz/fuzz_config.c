/* libFuzzer harness of the networks' config.json. The first byte chooses the network, the rest is
 * the file. What is accepted is built, with weights that have shapes but no values. */
#include <stdint.h>

#include "model/clip.h"
#include "model/config.h"
#include "model/unet.h"
#include "model/vae.h"
#include "shape_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build_unet(const soda_json *json, soda_builder *b)
{
    soda_unet_config c;
    int64_t blocks = 0;
    if (config_unet(json, &c) != SODA_OK) return;
    for (int i = 0; i < c.blocks; i++) blocks += (2 * c.layers[i] + 1) * (c.depth[i] + 1);
    if (blocks + c.depth[c.blocks - 1] > MOST_LAYERS) return;
    const int64_t side = 1LL << (c.blocks - 1); /* all levels can halve it */
    unet_build(b, &c, (unet_size){.batch = 2, .h = side, .w = side + 1, .tokens = 3});
    want(graph_status(b->graph) == SODA_OK);
}

static void build_vae(const soda_json *json, soda_builder *b)
{
    soda_vae_config c;
    if (config_vae(json, &c) != SODA_OK || 2 * c.layers * c.blocks > MOST_LAYERS) return;
    const int64_t factor = config_vae_factor(&c);
    want(vae_build_encoder(b, &c, 1, factor + 1, 2 * factor) == SODA_OK);
    want(vae_build_decoder(b, &c, 1, 1, 3) == SODA_OK);
}

static void build_clip(const soda_json *json, soda_builder *b)
{
    soda_clip_config c;
    if (config_clip(json, &c) != SODA_OK || c.layers > MOST_LAYERS) return;
    want(clip_build(b, &c, 2, 1, CLIP_LAST | CLIP_PENULTIMATE | CLIP_POOLED | CLIP_TEXT_EMBEDS) ==
         SODA_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    soda_weight_source source = shape_source();
    soda_builder b = {.source = &source};
    soda_json json;
    if (size < 1) return 0;
    if (soda_json_parse((const char *)data + 1, size - 1, "config.json", &json) != SODA_OK)
        return 0;
    want(graph_create(SODA_BF16, &b.graph) == SODA_OK);
    switch (data[0] % 3) {
    case 0: build_unet(&json, &b); break;
    case 1: build_vae(&json, &b); break;
    default: build_clip(&json, &b); break;
    }
    graph_destroy(b.graph);
    soda_json_free(&json);
    return 0;
}
