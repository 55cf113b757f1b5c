#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "interop/export.h"
#include "interop/merged.h"
#include "io/newfile.h"

enum { PATH_SIZE = 4096, CHUNK = 1 << 20, MAX_DEPTH = 8 };

static soda_status cannot(const char *what, const char *path)
{
    return FAIL(SODA_ERR_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Weights in any of the formats that model folders come with. */
static bool is_weights(const char *name)
{
    static const char *const endings[] = {".safetensors",
                                          ".safetensors.index.json",
                                          ".safetensors.index.fp16.json",
                                          ".bin.index.fp16.json",
                                          ".bin",
                                          ".bin.index.json",
                                          ".ckpt",
                                          ".pt",
                                          ".pth",
                                          ".msgpack",
                                          ".onnx",
                                          ".onnx_data"};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(name + length - ending, endings[i]) == 0) return true;
    }
    return false;
}

static soda_status copy_file(const char *from, const char *to)
{
    soda_newfile *file = NULL;
    soda_status s = SODA_OK;
    char *chunk = malloc(CHUNK);
    FILE *in = fopen(from, "rb");
    if (!in || !chunk) {
        s = in ? FAIL(SODA_ERR_MEMORY, "out of memory") : cannot("read", from);
        goto done;
    }
    TRY_TO(done, newfile_create(to, &file));
    for (size_t got; (got = fread(chunk, 1, CHUNK, in)) > 0;)
        TRY_TO(done, newfile_write(file, chunk, got));
    if (ferror(in)) {
        s = cannot("read", from);
        goto done;
    }
    TRY_TO(done, newfile_commit(file));
done:
    newfile_close(file);
    if (in) fclose(in);
    free(chunk);
    return s;
}

/* Which component's folder this is; false if none. */
static bool component_of(const soda_folder *folder, const char *name, folder_component *component)
{
    folder_component list[ADAPTER_COMPONENTS];
    const int count = adapter_components(folder, list);
    for (int i = 0; i < count; i++)
        if (strcmp(name, folder_component_name(list[i])) == 0) {
            *component = list[i];
            return true;
        }
    return false;
}

/* Copies a folder; the weights in it only if `weights`. Links are followed: model caches keep files
 * behind them. At the root, components that are adapted leave their weights behind. */
static soda_status copy_folder(const soda_folder *folder, const soda_adapter *adapter,
                               const char *from, const char *to, bool weights, int depth)
{
    soda_status s = SODA_OK;
    DIR *list = opendir(from);
    if (!list) return cannot("list", from);
    TRY_TO(done, newfile_make_folder(to));
    for (const struct dirent *entry; (entry = readdir(list));) {
        char source[PATH_SIZE], target[PATH_SIZE];
        struct stat about;
        folder_component component;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        TRY_TO(done, path_in(source, sizeof source, from, "%s", entry->d_name));
        TRY_TO(done, path_in(target, sizeof target, to, "%s", entry->d_name));
        if (stat(source, &about) != 0) {
            s = cannot("read", source);
            goto done;
        }
        if (S_ISDIR(about.st_mode)) {
            const bool merged = depth == 0 && component_of(folder, entry->d_name, &component) &&
                                adapter_touches(adapter, component);
            if (depth == MAX_DEPTH) {
                s = FAIL(SODA_ERR_INPUT, "%s: expected folders at most %d deep", source, MAX_DEPTH);
                goto done;
            }
            TRY_TO(done, copy_folder(folder, adapter, source, target,
                                     !merged && (depth == 0 || weights), depth + 1));
        } else if (weights || !is_weights(entry->d_name)) {
            TRY_TO(done, copy_file(source, target));
        } else if (depth == 0) {
            log_warning("%s: left out: weights that lie beside the folders of a model's parts are "
                        "not part of it",
                        source);
        }
    }
done:
    closedir(list);
    return s;
}

static bool has_name(const char *path, const char *name)
{
    return strcmp(strrchr(path, '/') + 1, name) == 0;
}

/* Whether the set was read from this file of its folder: an index, or one with tensors. */
static bool was_read(const soda_safetensors *set, const char *name)
{
    bool found = has_name(safetensors_path(set), name);
    for (int i = 0; i < safetensors_count(set) && !found; i++)
        found = has_name(safetensors_at(set, i)->file, name);
    return found;
}

/* Names the weights of an adapted component that the merged file does not replace: other variants
 * and formats, which would hold the component as it was. */
static soda_status warn_of_others(const soda_folder *folder, const char *component,
                                  const soda_safetensors *set)
{
    char path[PATH_SIZE];
    TRY(folder_path(folder, component, "", path, sizeof path));
    DIR *list = opendir(path);
    if (!list) return cannot("list", path);
    for (const struct dirent *entry; (entry = readdir(list));)
        if (is_weights(entry->d_name) && !was_read(set, entry->d_name))
            log_warning("%s%s: left out: the adapter is merged into %s", path, entry->d_name,
                        safetensors_path(set));
    closedir(list);
    return SODA_OK;
}

/* The file's metadata, each key once, with "format", which transformers insists on. For free(). */
static soda_status keep_metadata(const soda_safetensors *set, safetensors_pair **pairs, int *count)
{
    const int all = safetensors_metadata_count(set);
    safetensors_pair *p = *pairs = malloc(((size_t)all + 1) * sizeof *p);
    if (!p) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *count = 0;
    if (!safetensors_metadata(set, "format")) p[(*count)++] = (safetensors_pair){"format", "pt"};
    for (int i = 0; i < all; i++) {
        const safetensors_pair pair = safetensors_metadata_at(set, i);
        int k = 0;
        while (k < *count && strcmp(p[k].key, pair.key) != 0) k++;
        if (k == *count) p[(*count)++] = pair;
    }
    return SODA_OK;
}

/* Writes one component's weights, merged, as ROOT/COMPONENT/STEM.safetensors. */
static soda_status write_component(const soda_folder *folder, const soda_adapter *adapter,
                                   folder_component component, const char *root)
{
    const adapter_use use = {adapter, 1};
    const adapter_uses uses = {&use, 1};
    const char *name = folder_component_name(component);
    folder_weights files = {0};
    merged_weights *merged = NULL;
    safetensors_tensor *tensors = NULL;
    safetensors_pair *pairs = NULL;
    int pair_count = 0;
    char path[PATH_SIZE], weight[512];
    soda_status s = SODA_OK;
    TRY_TO(done, folder_weights_open(folder, component, &files));
    TRY_TO(done, warn_of_others(folder, name, files.set));
    TRY_TO(done, merged_create(folder, component, files.source, &uses, MERGED_AS_FILE, &merged));
    TRY_TO(done, keep_metadata(files.set, &pairs, &pair_count));
    const int count = safetensors_count(files.set);
    tensors = malloc((size_t)count * sizeof *tensors);
    if (!tensors) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    for (int i = 0; i < count; i++) {
        tensors[i] = *safetensors_at(files.set, i);
        snprintf(weight, sizeof weight, "%s.%s", name, tensors[i].name);
        const soda_weight *changed = merged_find(merged, weight);
        if (!changed) continue;
        tensors[i].data = changed->source.data;
        if (tensors[i].dtype == SAFETENSORS_F64) tensors[i].dtype = SAFETENSORS_F32;
    }
    /* a variant keeps its name, as the components that are copied do */
    TRY_TO(done, path_in(path, sizeof path, root, "%s/%s%s.safetensors", name,
                         component == FOLDER_UNET ? "diffusion_pytorch_model" : "model",
                         safetensors_is_fp16(files.set) ? ".fp16" : ""));
    TRY_TO(done, safetensors_write(path, tensors, count, pairs, pair_count));
done:
    free(pairs);
    free(tensors);
    merged_destroy(merged);
    folder_weights_close(&files);
    return s;
}

/* Where `out`, of `length` bytes, is: what it leads to if it is a link, which a folder cannot be
 * renamed to. */
static soda_status find_place(const char *out, size_t length, char place[PATH_MAX])
{
    struct stat about;
    snprintf(place, PATH_MAX, "%.*s", (int)length, out);
    if (lstat(place, &about) != 0 || !S_ISLNK(about.st_mode)) return SODA_OK;
    if (realpath(out, place)) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "%s: expected a new or empty folder, found a symbolic link that leads nowhere",
                out);
}

/* `out` must be absent or empty, and outside of the model, which would be copied into itself. */
static soda_status check_place(const soda_folder *folder, const char *out, const char *temporary)
{
    char model[PATH_MAX], place[PATH_MAX];
    DIR *list = opendir(out);
    int entries = 0;
    if (list) {
        while (readdir(list)) entries++;
        closedir(list);
    }
    if (list ? entries > 2 : errno != ENOENT)
        return FAIL(SODA_ERR_INPUT, "%s: expected a new or empty folder, found %s", out,
                    list ? "one with files in it (--overwrite does not hold for folders: what is "
                           "in them is never deleted)"
                         : "something else");
    TRY(newfile_make_folder(temporary));
    if (!realpath(folder->root, model) || !realpath(temporary, place))
        return cannot("find the place of", temporary);
    const size_t length = strlen(model);
    if (strncmp(place, model, length) == 0 && (place[length] == '/' || length == 1))
        return FAIL(SODA_ERR_INPUT, "%s: expected a folder outside the model folder %s", out,
                    folder->root);
    return SODA_OK;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

static soda_status write_all(const soda_folder *folder, const soda_adapter *adapter,
                             const char *out, const char *temporary)
{
    folder_component list[ADAPTER_COMPONENTS];
    const int count = adapter_components(folder, list);
    TRY(check_place(folder, out, temporary));
    TRY(copy_folder(folder, adapter, folder->root, temporary, false, 0));
    for (int i = 0; i < count; i++)
        if (adapter_touches(adapter, list[i]))
            TRY(write_component(folder, adapter, list[i], temporary));
    if (rename(temporary, out) != 0) return cannot("rename the finished folder to", out);
    return SODA_OK;
}

soda_status export_diffusers(const soda_folder *folder, const soda_adapter *adapter,
                             const char *out)
{
    char place[PATH_MAX], temporary[PATH_MAX + NEWFILE_TEMPORARY];
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--;
    if (length == 0 || length >= sizeof place)
        return FAIL(SODA_ERR_INPUT, "%s: expected the path of a folder", out);
    TRY(find_place(out, length, place));
    newfile_name_temporary(place, temporary, sizeof temporary);
    nftw(temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* left by a killed process */
    const soda_status s = write_all(folder, adapter, place, temporary);
    if (s != SODA_OK) nftw(temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return s;
}
