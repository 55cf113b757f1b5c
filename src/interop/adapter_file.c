/* Where adapters come from and go to, and what they belong to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/path.h"
#include "interop/adapter_file.h"
#include "model/hash.h"

static safetensors_tensor tensor_of(const char *name, int rank, int64_t rows, int64_t columns,
                                    const float *data)
{
    return (safetensors_tensor){.name = name,
                                .dtype = SAFETENSORS_F32,
                                .rank = rank,
                                .dim = {rows, rank == 2 ? columns : 0},
                                .data = data};
}

soda_status adapter_from_checkpoint(const char *file, const soda_checkpoint *checkpoint,
                                    soda_adapter **adapter)
{
    safetensors_tensor *tensors = calloc((size_t)checkpoint->count + 1, sizeof *tensors);
    *adapter = NULL;
    if (!tensors) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", file);
    for (int i = 0; i < checkpoint->count; i++) {
        const checkpoint_tensor *t = &checkpoint->tensors[i];
        tensors[i] = tensor_of(t->name, t->rank, t->dim[0], t->dim[1], t->value);
    }
    const soda_status s = adapter_from_tensors(file, checkpoint->method, checkpoint->model_sha256,
                                               tensors, checkpoint->count, adapter);
    free(tensors);
    return s;
}

/* What another file of changes is, told by the name of a tensor: full differences ("P.diff") as
 * export --to diff writes them, or LoRA as PEFT ("lora_A"), kohya's scripts ("lora_unet_") or older
 * diffusers ("to_q_lora.up", "to_q.lora.up") have it. */
static const char *other_kind(const soda_safetensors *set)
{
    static const char diff[] = ".diff";
    bool lora = false;
    for (int i = 0; i < safetensors_count(set); i++) {
        const char *name = safetensors_at(set, i)->name;
        const size_t length = strlen(name), end = sizeof diff - 1;
        if (length > end && !strcmp(name + length - end, diff))
            return ": these are full differences of weights (soda export --to diff), which soda "
                   "does not read";
        lora = lora || strstr(name, "lora_") || strstr(name, "lora.");
    }
    return lora ? ": this is a LoRA adapter, which soda does not read" : "";
}

static soda_status read_safetensors(const char *path, soda_adapter **adapter)
{
    soda_safetensors *set;
    soda_status s = SODA_OK;
    TRY(safetensors_open(path, &set));
    const char *format = safetensors_metadata(set, "format");
    if (!format || strcmp(format, ADAPTER_FORMAT) != 0)
        s = FAIL(SODA_ERR_INPUT, "%s: metadata format: expected %s, found %s%s", path,
                 ADAPTER_FORMAT, format ? format : "none", other_kind(set));
    else
        s = adapter_from_tensors(path, safetensors_metadata(set, "method"),
                                 safetensors_metadata(set, "base_model_sha256"),
                                 safetensors_at(set, 0), safetensors_count(set), adapter);
    safetensors_close(set);
    return s;
}

/* HDF5's signature, at the start or behind a user block of 512 bytes (io/h5_file.h). */
static soda_status is_hdf5(const char *path, bool *yes)
{
    static const char signature[8] = "\x89HDF\r\n\x1a\n";
    char bytes[512 + sizeof signature];
    FILE *file = fopen(path, "rb");
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot be read", path);
    const size_t got = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    *yes = (got >= sizeof signature && !memcmp(bytes, signature, sizeof signature)) ||
           (got == sizeof bytes && !memcmp(bytes + 512, signature, sizeof signature));
    return SODA_OK;
}

soda_status adapter_open_checkpoint(const char *path, soda_checkpoint *checkpoint, char *file,
                                    size_t size, bool *found)
{
    char folder[4096];
    struct stat about;
    if (stat(path, &about) != 0) return FAIL(SODA_ERR_INPUT, "%s: no such file or folder", path);
    if (S_ISDIR(about.st_mode)) {
        TRY(path_in(folder, sizeof folder, path, "checkpoints"));
        TRY(checkpoint_read_newest(stat(folder, &about) == 0 ? folder : path, checkpoint, file,
                                   size, found));
        if (*found) return SODA_OK;
        TRY(path_in(file, size, path, "adapter.safetensors"));
        return stat(file, &about) == 0
                   ? SODA_OK
                   : FAIL(SODA_ERR_INPUT,
                          "%s: no checkpoint and no adapter.safetensors in this folder", path);
    }
    snprintf(file, size, "%s", path);
    TRY(is_hdf5(path, found));
    return *found ? checkpoint_read(path, checkpoint) : SODA_OK;
}

soda_status adapter_read(const char *path, soda_adapter **adapter)
{
    soda_checkpoint checkpoint;
    char file[4096];
    *adapter = NULL;
    bool is_checkpoint;
    TRY(adapter_open_checkpoint(path, &checkpoint, file, sizeof file, &is_checkpoint));
    if (!is_checkpoint) return read_safetensors(file, adapter);
    const soda_status s = adapter_from_checkpoint(file, &checkpoint, adapter);
    checkpoint_free(&checkpoint);
    return s;
}

/* {"640":[8,8,10], ...}: what the method says of a layer, by width; the first layer of each width
 * stands for all. For free(); NULL if the method says nothing. */
static soda_status sizes_text(const soda_adapter *a, char **text)
{
    soda_status s = SODA_OK;
    if (!a->method->sizes) return SODA_OK;
    json_t *all = json_object();
    for (int i = 0; i < a->count && s == SODA_OK; i++) {
        int64_t sizes[METHOD_SIZES];
        char width[24];
        const soda_layer layer = adapter_layer_sizes(a, &a->layers[i]);
        snprintf(width, sizeof width, "%lld", (long long)layer.n);
        if (json_object_get(all, width)) continue;
        json_t *list = json_array();
        int failed = list == NULL;
        const int count = a->method->sizes(&layer, sizes);
        for (int k = 0; k < count && !failed; k++)
            failed = json_array_append_new(list, json_integer((json_int_t)sizes[k]));
        failed = json_object_set_new(all, width, list) || failed;
        if (failed) s = FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    if (s == SODA_OK) s = soda_json_dump(all, a->file, text);
    json_decref(all);
    return s;
}

/* All tensors, with names in one block; for free() of both. */
static soda_status list_tensors(const soda_adapter *a, safetensors_tensor **tensors, char **names)
{
    const int each = method_tensors(a->method);
    size_t bytes = 1;
    for (int i = 0; i < a->count; i++)
        for (int p = 0; p < each; p++)
            bytes += strlen(a->layers[i].name) + strlen(a->method->tensors[p]->leaf) + 2;
    safetensors_tensor *t = *tensors = calloc((size_t)a->count * (size_t)each, sizeof *t);
    char *name = *names = malloc(bytes);
    if (!t || !name) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < a->count; i++) {
        const adapter_layer *l = &a->layers[i];
        for (int p = 0; p < each; p++) {
            const soda_shape *shape = &l->shape[p];
            *t++ = tensor_of(name, shape->rank, shape->dim[0], shape->dim[1], l->value[p]);
            name += sprintf(name, "%s.%s", l->name, a->method->tensors[p]->leaf) + 1;
        }
    }
    return SODA_OK;
}

soda_status adapter_write(const char *path, const soda_adapter *a)
{
    safetensors_tensor *tensors = NULL;
    safetensors_pair metadata[6];
    char *names = NULL, *sizes = NULL;
    soda_status s = SODA_OK;
    int pairs = 0;
    TRY_TO(done, sizes_text(a, &sizes));
    TRY_TO(done, list_tensors(a, &tensors, &names));
    metadata[pairs++] = (safetensors_pair){"format", ADAPTER_FORMAT};
    metadata[pairs++] = (safetensors_pair){"method", a->method->name};
    if (sizes) metadata[pairs++] = (safetensors_pair){a->method->sizes_key, sizes};
    metadata[pairs++] = (safetensors_pair){"soda_version", SODA_VERSION};
    if (a->base_sha256[0]) {
        metadata[pairs++] = (safetensors_pair){"base_model_sha256", a->base_sha256};
        metadata[pairs++] = (safetensors_pair){
            "base_model_components", adapter_touches_text(a) ? "unet, text encoders" : "unet"};
    }
    TRY_TO(done,
           safetensors_write(path, tensors, a->count * method_tensors(a->method), metadata, pairs));
done:
    free(names);
    free(tensors);
    free(sizes);
    return s;
}

/* The SHA-256 of several hashes in hex, one behind the other. */
static soda_status join_hashes(char parts[][SHA256_HEX], int count, char hex[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    char all[(ADAPTER_COMPONENTS) * (SHA256_HEX - 1)];
    for (int i = 0; i < count; i++) memcpy(all + i * (SHA256_HEX - 1), parts[i], SHA256_HEX - 1);
    TRY(sha256_memory(all, (size_t)count * (SHA256_HEX - 1), digest));
    sha256_hex(digest, hex);
    return SODA_OK;
}

soda_status adapter_base_hash(const soda_folder *folder, bool text_encoders,
                              model_hash_version version, char hex[SHA256_HEX])
{
    char parts[ADAPTER_COMPONENTS][SHA256_HEX];
    if (!text_encoders) return model_hash(folder, FOLDER_UNET, version, hex);
    TRY(model_hash(folder, FOLDER_UNET, version, parts[0]));
    for (int i = 0; i < folder->texts; i++)
        TRY(model_hash(folder, FOLDER_TEXT_ENCODER + i, version, parts[1 + i]));
    return join_hashes(parts, 1 + folder->texts, hex);
}

soda_status adapter_check_base(const soda_adapter *a, const soda_folder *folder)
{
    char hex[SHA256_HEX];
    if (!a->base_sha256[0]) return SODA_OK;
    for (model_hash_version version = MODEL_HASH; version < MODEL_HASH_VERSIONS; version++) {
        TRY(adapter_base_hash(folder, adapter_touches_text(a), version, hex));
        if (!strcmp(hex, a->base_sha256)) return SODA_OK;
    }
    TRY(adapter_base_hash(folder, adapter_touches_text(a), MODEL_HASH, hex));
    return FAIL(SODA_ERR_INPUT,
                "%s: base_model_sha256: expected %s, found %s in %s: this is another model, or the "
                "same model in another precision (to make an adapter for it: soda export %s --to "
                "adapter --model %s)",
                a->file, a->base_sha256, hex, folder->root, a->file, folder->root);
}
