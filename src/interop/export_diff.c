#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interop/export.h"
#include "interop/merged.h"

enum { KEY_SIZE = 320 };

/* Resnet module `j` of the first implementation: [in_layers, emb_layers, ...]; only emb_layers
 * holds a linear layer. */
static const char *resnet_leaf(const char *leaf)
{
    return strcmp(leaf, "time_emb_proj") == 0 ? "emb_layers.1" : leaf;
}

/* How many modules stand before `block`: those of the blocks before it, `layers` + 1 each. The way
 * down counts a downsampler for each block, the way up an additional layer. */
static int modules_before(const soda_unet_config *c, int block, bool up)
{
    int count = 0;
    for (int i = 0; i < block; i++) count += (int)c->layers[up ? c->blocks - 1 - i : i] + 1;
    return count;
}

/* diffusers' path -> the path in Stability's own code, which kohya's SDXL trainer keeps. A path
 * that is the same in both comes back as it is. */
static void original_path(const soda_unet_config *c, const char *path, char *text, size_t size)
{
    char kind[16];
    int i, j, used = 0;
    snprintf(text, size, "%s", path);
    const bool down = sscanf(path, "down_blocks.%d.%15[a-z].%d.%n", &i, kind, &j, &used) == 3;
    if (down || sscanf(path, "up_blocks.%d.%15[a-z].%d.%n", &i, kind, &j, &used) == 3) {
        const bool resnet = strcmp(kind, "resnets") == 0;
        const char *leaf = path + used;
        snprintf(text, size, "%s.%d.%d.%s", down ? "input_blocks" : "output_blocks",
                 modules_before(c, i, !down) + j + (down ? 1 : 0), /* input_blocks.0 is conv_in */
                 resnet ? 0 : 1, resnet ? resnet_leaf(leaf) : leaf);
    } else if (sscanf(path, "mid_block.%15[a-z].%d.%n", kind, &j, &used) == 2) {
        const bool resnet = strcmp(kind, "resnets") == 0;
        snprintf(text, size, "middle_block.%d.%s", resnet ? 2 * j : 1,
                 resnet ? resnet_leaf(path + used) : path + used);
    } else if (sscanf(path, "time_embedding.linear_%d", &j) == 1) {
        snprintf(text, size, "time_embed.%d", 2 * (j - 1));
    } else if (sscanf(path, "add_embedding.linear_%d", &j) == 1) {
        snprintf(text, size, "label_emb.0.%d", 2 * (j - 1));
    }
}

void export_diff_key(const soda_folder *folder, const char *name, char *key, size_t size)
{
    char module[256], path[288];
    const char *dot = strchr(name, '.'), *bare = dot ? dot + 1 : name;
    const char *prefix = "lora_unet";
    const size_t length = strlen(bare) - strlen(".weight");
    snprintf(module, sizeof module, "%.*s", (int)length, bare);
    if (strncmp(name, "unet.", 5) != 0) {
        const bool second = strncmp(name, "text_encoder_2.", 15) == 0;
        prefix = !folder->xl ? "lora_te" : second ? "lora_te2" : "lora_te1";
        /* transformers 5 leaves text_model out */
        snprintf(path, sizeof path, "%s%s",
                 strncmp(module, "encoder.", 8) == 0 ? "text_model." : "", module);
    } else if (folder->xl) {
        original_path(&folder->unet, module, path, sizeof path);
    } else {
        snprintf(path, sizeof path, "%s", module);
    }
    for (char *c = path; *c; c++)
        if (*c == '.') *c = '_';
    snprintf(key, size, "%s_%s.diff", prefix, path);
}

/* The differences of all components, open until they are written. */
typedef struct {
    folder_weights files[ADAPTER_COMPONENTS];
    merged_weights *merged[ADAPTER_COMPONENTS];
    safetensors_tensor *tensors;
    char (*keys)[KEY_SIZE];
    int count;
} differences;

static soda_status merge_all(const soda_folder *folder, const soda_adapter *adapter, differences *d)
{
    folder_component list[ADAPTER_COMPONENTS];
    const int count = adapter_components(folder, list);
    const adapter_use use = {adapter, 1};
    const adapter_uses uses = {&use, 1};
    for (int i = 0; i < count; i++) {
        if (!adapter_touches(adapter, list[i])) continue;
        TRY(folder_weights_open(folder, list[i], &d->files[i]));
        TRY(merged_create(folder, list[i], d->files[i].source, &uses, MERGED_DIFFERENCE,
                          &d->merged[i]));
    }
    return SODA_OK;
}

static soda_status list_all(const soda_folder *folder, int room, differences *d)
{
    d->tensors = calloc((size_t)room + 1, sizeof *d->tensors);
    d->keys = calloc((size_t)room + 1, sizeof *d->keys);
    if (!d->tensors || !d->keys) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < ADAPTER_COMPONENTS; i++)
        for (int k = 0; d->merged[i] && k < merged_count(d->merged[i]); k++, d->count++) {
            const soda_weight *w = merged_at(d->merged[i], k);
            export_diff_key(folder, w->name, d->keys[d->count], KEY_SIZE);
            d->tensors[d->count] =
                (safetensors_tensor){.name = d->keys[d->count],
                                     .dtype = SAFETENSORS_F32,
                                     .rank = 2,
                                     .dim = {w->source.shape.dim[0], w->source.shape.dim[1]},
                                     .data = w->source.data};
        }
    return SODA_OK;
}

soda_status export_diff(const soda_folder *folder, const soda_adapter *adapter, const char *out)
{
    differences d = {0};
    soda_status s = SODA_OK;
    const safetensors_pair metadata[] = {{"format", "pt"},
                                         {"soda_version", SODA_VERSION},
                                         {"soda_method", adapter->method->name},
                                         {"base_model_sha256", adapter->base_sha256}};
    TRY_TO(done, merge_all(folder, adapter, &d));
    TRY_TO(done, list_all(folder, adapter->count, &d));
    TRY_TO(done, safetensors_write(out, d.tensors, d.count, metadata,
                                   sizeof metadata / sizeof *metadata - !adapter->base_sha256[0]));
done:
    free(d.tensors);
    free(d.keys);
    for (int i = 0; i < ADAPTER_COMPONENTS; i++) {
        merged_destroy(d.merged[i]);
        folder_weights_close(&d.files[i]);
    }
    return s;
}
