#include "io/array_cache.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/path.h"
#include "io/cache_limit.h"
#include "io/newfile.h"

enum { MOST_PATH = 4096 };

soda_status array_cache_root(char *folder, size_t size)
{
    const char *own = getenv("SODA_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own && *own)
        return snprintf(folder, size, "%s", own) < (int)size
                   ? SODA_OK
                   : FAIL(SODA_ERR_INPUT, "SODA_CACHE: expected a path of less than %zu bytes",
                          size);
    if (xdg && *xdg) return path_in(folder, size, xdg, "soda");
    if (home && *home) return path_in(folder, size, home, ".cache/soda");
    return FAIL(SODA_ERR_IO, "no folder for the cache: SODA_CACHE, XDG_CACHE_HOME and HOME are "
                             "not set");
}

soda_status array_cache_folder(const char *kind, char *folder, size_t size)
{
    char own_kind[MOST_PATH];
    TRY(array_cache_root(folder, size));
    TRY(path_in(own_kind, sizeof own_kind, folder, "%s", kind));
    return newfile_make_folder(own_kind);
}

soda_status array_cache_weight_key(const soda_tensor *weight, const char *method, int version,
                                   char key[SHA256_HEX])
{
    char line[160], shape[80];
    uint8_t digest[SHA256_BYTES];
    soda_sha256 *hash;
    TRY(sha256_create(&hash));
    snprintf(line, sizeof line, "soda factors %s %d %s %s\n", method, version,
             dtype_name(weight->dtype), shape_text(&weight->shape, shape, sizeof shape));
    soda_status s = SODA_OK;
    TRY_TO(done, sha256_update(hash, line, strlen(line)));
    TRY_TO(done, sha256_update(hash, weight->data, tensor_bytes(weight)));
    TRY_TO(done, sha256_finish(hash, digest));
    sha256_hex(digest, key);
done:
    sha256_destroy(hash);
    return s;
}

static soda_status file_path(const char *folder, const char *kind, const char *key,
                             char path[MOST_PATH])
{
    return path_in(path, MOST_PATH, folder, "%s/%s.safetensors", kind, key);
}

bool array_cache_has(const char *folder, const char *kind, const char *key)
{
    char path[MOST_PATH];
    if (file_path(folder, kind, key, path) == SODA_OK) return access(path, F_OK) == 0;
    status_clear();
    return false;
}

static soda_status checksum(const safetensors_tensor *const *tensors, int count,
                            char text[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    soda_sha256 *hash;
    TRY(sha256_create(&hash));
    soda_status s = SODA_OK;
    for (int i = 0; i < count; i++)
        TRY_TO(done, sha256_update(hash, tensors[i]->data, tensors[i]->bytes));
    TRY_TO(done, sha256_finish(hash, digest));
    sha256_hex(digest, text);
done:
    sha256_destroy(hash);
    return s;
}

enum { MOST_ARRAYS = 8 };

/* SODA_ERR_INPUT if the set is not what store wrote under this key, by its header. */
static soda_status verify_header(const soda_safetensors *set, const char *key,
                                 const safetensors_tensor *expected, int count,
                                 const safetensors_tensor *found[MOST_ARRAYS])
{
    const char *path = safetensors_path(set);
    for (int i = 0; i < count; i++) {
        const safetensors_tensor *e = &expected[i], *f = found[i] = safetensors_find(set, e->name);
        if (!f || f->dtype != e->dtype || f->rank != e->rank ||
            memcmp(f->dim, e->dim, (size_t)e->rank * sizeof *e->dim) != 0 ||
            (uintptr_t)f->data % sizeof(float))
            return FAIL(
                SODA_ERR_INPUT,
                "%s: tensor %s: missing, or type, shape or alignment differ from what was expected",
                path, e->name);
    }
    const char *stored_key = safetensors_metadata(set, "key");
    if (!stored_key || strcmp(stored_key, key) != 0)
        return FAIL(SODA_ERR_INPUT,
                    "%s: metadata key: expected another key (the file was made for something else)",
                    path);
    return SODA_OK;
}

/* The same by the data. */
static soda_status verify_data(const soda_safetensors *set, const safetensors_tensor *const *found,
                               int count)
{
    char sum[SHA256_HEX];
    const char *stored_sum = safetensors_metadata(set, "sha256");
    TRY(checksum(found, count, sum));
    if (!stored_sum || strcmp(stored_sum, sum) != 0)
        return FAIL(SODA_ERR_INPUT, "%s: the checksum does not match the data",
                    safetensors_path(set));
    for (int i = 0; i < count; i++) /* the checksum brought them in; the next reader maps them */
        arena_drop_pages(found[i]->data, found[i]->bytes);
    return SODA_OK;
}

/* checked: the data is not read. */
static soda_status open_file(const char *folder, const char *kind, const char *key,
                             const safetensors_tensor *expected, int count, bool checked,
                             soda_safetensors **set)
{
    char path[MOST_PATH];
    const safetensors_tensor *found[MOST_ARRAYS];
    *set = NULL;
    if (count > MOST_ARRAYS) return FAIL(SODA_ERR_INTERNAL, "array_cache: too many arrays");
    TRY(file_path(folder, kind, key, path));
    if (access(path, F_OK) != 0) return SODA_OK;
    cache_limit_touch(path);
    soda_status s = safetensors_open(path, set);
    if (s == SODA_OK) {
        s = verify_header(*set, key, expected, count, found);
        if (s == SODA_OK && !checked) s = verify_data(*set, found, count);
        if (s != SODA_OK) safetensors_close(*set);
    }
    if (s == SODA_OK) return SODA_OK;
    *set = NULL;
    if (s == SODA_ERR_MEMORY || s == SODA_ERR_INTERNAL) return s;
    log_warning("ignoring a damaged cache file and recomputing its contents: %s", status_message());
    status_clear();
    return SODA_OK;
}

soda_status array_cache_load(const char *folder, const char *kind, const char *key,
                             const safetensors_tensor *expected, int count, soda_safetensors **set)
{
    return open_file(folder, kind, key, expected, count, false, set);
}

soda_status array_cache_map(const char *folder, const char *kind, const char *key,
                            const safetensors_tensor *expected, int count, soda_safetensors **set)
{
    return open_file(folder, kind, key, expected, count, true, set);
}

soda_status array_cache_checksum(const safetensors_tensor *arrays, int count, char sum[SHA256_HEX])
{
    safetensors_tensor sized[MOST_ARRAYS];
    const safetensors_tensor *list[MOST_ARRAYS];
    if (count > MOST_ARRAYS) return FAIL(SODA_ERR_INTERNAL, "array_cache: too many arrays");
    for (int i = 0; i < count; i++) {
        sized[i] = arrays[i];
        sized[i].bytes = sizeof(float);
        for (int d = 0; d < arrays[i].rank; d++) sized[i].bytes *= (size_t)arrays[i].dim[d];
        if (arrays[i].dtype != SAFETENSORS_F32)
            return FAIL(SODA_ERR_INTERNAL, "array_cache: %s is not fp32", arrays[i].name);
        list[i] = &sized[i];
    }
    return checksum(list, count, sum);
}

soda_status array_cache_store(const char *folder, const char *kind, const char *key,
                              const safetensors_tensor *arrays, int count)
{
    char path[MOST_PATH], sum[SHA256_HEX];
    TRY(file_path(folder, kind, key, path));
    TRY(array_cache_checksum(arrays, count, sum));
    const safetensors_pair metadata[] = {{"format", "soda-cache"}, {"key", key}, {"sha256", sum}};
    return safetensors_write(path, arrays, count, metadata, 3);
}
