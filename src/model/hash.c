#include "model/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "model/config_text.h"

enum { MAX_CONFIG = 64 << 20 }; /* as core/json.h reads */

soda_status model_hash_tensor(soda_sha256 *hash, const safetensors_tensor *t)
{
    char line[64 + 24 * SAFETENSORS_MAX_RANK];
    int used = snprintf(line, sizeof line, " %s [", safetensors_dtype_name(t->dtype));
    for (int d = 0; d < t->rank; d++)
        used += snprintf(line + used, sizeof line - (size_t)used, d ? ",%lld" : "%lld",
                         (long long)t->dim[d]);
    used += snprintf(line + used, sizeof line - (size_t)used, "]\n");
    TRY(sha256_update(hash, t->name, strlen(t->name)));
    TRY(sha256_update(hash, line, (size_t)used));
    TRY(sha256_update(hash, t->data, t->bytes));
    arena_drop_pages(t->data, t->bytes);
    return SODA_OK;
}

static soda_status add_file(soda_sha256 *hash, const soda_folder *folder,
                            folder_component component)
{
    char path[4096];
    void *text;
    size_t bytes;
    TRY(folder_path(folder, folder_component_name(component), "config.json", path, sizeof path));
    TRY(file_read(path, MAX_CONFIG, &text, &bytes));
    const soda_status s = sha256_update(hash, text, bytes);
    free(text);
    return s;
}

static soda_status add_values(soda_sha256 *hash, const soda_folder *folder,
                              folder_component component)
{
    const int encoder = component == FOLDER_TEXT_ENCODER_2;
    char text[CONFIG_TEXT_BYTES];
    if (component == FOLDER_UNET)
        config_text_unet(&folder->unet, text);
    else if (component == FOLDER_VAE)
        config_text_vae(&folder->vae, text);
    else
        config_text_clip(&folder->text[encoder], folder->text_projection[encoder], text);
    return sha256_update(hash, text, strlen(text));
}

static soda_status finish(soda_sha256 *hash, char hex[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    TRY(sha256_finish(hash, digest));
    sha256_hex(digest, hex);
    return SODA_OK;
}

static soda_status identify(const soda_folder *folder, folder_component component,
                            folder_identity *identity)
{
    soda_safetensors *set = NULL;
    soda_sha256 *hash = NULL, *second = NULL;
    soda_status s = SODA_OK;
    TRY_TO(done, folder_tensors_open(folder, component, &set));
    TRY_TO(done, sha256_create(&hash));
    for (int i = 0; i < safetensors_count(set); i++) /* sorted by name */
        TRY_TO(done, model_hash_tensor(hash, safetensors_at(set, i)));
    TRY_TO(done, sha256_copy(hash, &second));
    TRY_TO(done, add_file(second, folder, component));
    TRY_TO(done, finish(second, identity->former));
    TRY_TO(done, add_values(hash, folder, component));
    TRY_TO(done, finish(hash, identity->sha256));
done:
    sha256_destroy(second);
    sha256_destroy(hash);
    safetensors_close(set);
    return s;
}

soda_status model_hash(const soda_folder *folder, folder_component component, char hex[SHA256_HEX],
                       char former[SHA256_HEX])
{
    folder_identity own = {.sha256 = ""};
    folder_identity *identity = folder->identity ? &folder->identity[component] : &own;
    if (!identity->sha256[0]) TRY(identify(folder, component, identity));
    memcpy(hex, identity->sha256, SHA256_HEX);
    if (former) memcpy(former, identity->former, SHA256_HEX);
    return SODA_OK;
}
