#include "io/shared_arrays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "io/array_cache.h"

/* A process may hold about 65,000 mappings (vm.max_map_count): of longer lists, copies are kept. */
enum { MOST_MAPPED = 20000, MUCH_BYTES = 1 << 30 };

/* Once per process: all lists share one cache and fail for one reason. */
static void warn(void)
{
    static bool warned;
#pragma omp critical(shared_arrays)
    {
        if (!warned)
            log_warning("the cache cannot be written, so the next run computes again what this one "
                        "does: %s",
                        status_message());
        warned = true;
    }
    status_clear();
}

soda_status shared_arrays_create(const char *kind, const char *folder, int64_t count, int arrays,
                                 shared_arrays *p)
{
    char own[4096];
    *p = (shared_arrays){.kind = kind, .arrays = arrays, .count = count};
    if (!folder && array_cache_folder(kind, own, sizeof own) == SODA_OK) folder = own;
    if (!folder) warn();
    p->items = calloc((size_t)count + 1, sizeof *p->items);
    if (folder) p->folder = strdup(folder);
    if (p->items && (p->folder || !folder)) {
        const soda_status s = folder ? cache_limit_begin(folder, &p->use) : SODA_OK;
        if (s != SODA_OK) shared_arrays_destroy(p);
        return s;
    }
    shared_arrays_destroy(p);
    return FAIL(SODA_ERR_MEMORY, "out of memory for a list of %lld %s", (long long)count, kind);
}

void shared_arrays_destroy(shared_arrays *p)
{
    for (int64_t i = 0; p->items && i < p->count; i++) {
        safetensors_close(p->items[i].set);
        free(p->items[i].memory);
    }
    cache_limit_end(p->use);
    free(p->items);
    free(p->folder);
    *p = (shared_arrays){0};
}

static int by_key(const void *a, const void *b)
{
    const shared_arrays_item *x = *(shared_arrays_item *const *)a,
                             *y = *(shared_arrays_item *const *)b;
    const int order = strcmp(x->key, y->key);
    return order ? order : (x > y) - (x < y);
}

int64_t shared_arrays_numbers(const shared_arrays *p, int64_t index)
{
    int64_t total = 0;
    for (int a = 0; a < p->arrays; a++) total += shape_count(&p->items[index].shape[a]);
    return total;
}

/* What the cache still lacks, in bytes. */
static int64_t missing_bytes(const shared_arrays *p)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < p->count; i++) {
        const shared_arrays_item *item = &p->items[i];
        if (item->first != i || array_cache_has(p->folder, p->kind, item->key)) continue;
        bytes += shared_arrays_numbers(p, i) * (int64_t)sizeof(float);
    }
    return bytes;
}

/* Home folders are often small, and on clusters have a quota. */
static void warn_about_home(const shared_arrays *p)
{
    const char *home = getenv("HOME"), *chosen = getenv("SODA_CACHE");
    const size_t length = home ? strlen(home) : 0;
    if (!p->folder || !length || (chosen && *chosen)) return;
    if (strncmp(p->folder, home, length) != 0 || p->folder[length] != '/') return;
    const int64_t bytes = missing_bytes(p);
    if (bytes >= MUCH_BYTES)
        log_warning("up to %.1f GiB of %s will be written to the cache %s, in the home folder; "
                    "--cache DIR or SODA_CACHE=DIR chooses another folder",
                    (double)bytes / 0x1p30, p->kind, p->folder);
}

soda_status shared_arrays_link(shared_arrays *p)
{
    shared_arrays_item **sorted = malloc(((size_t)p->count + 1) * sizeof(shared_arrays_item *));
    if (!sorted)
        return FAIL(SODA_ERR_MEMORY, "out of memory for a list of %lld %s", (long long)p->count,
                    p->kind);
    for (int64_t i = 0; i < p->count; i++) sorted[i] = &p->items[i];
    qsort(sorted, (size_t)p->count, sizeof(shared_arrays_item *), by_key);
    for (int64_t i = 0; i < p->count; i++)
        sorted[i]->first = i > 0 && !strcmp(sorted[i - 1]->key, sorted[i]->key)
                               ? sorted[i - 1]->first
                               : sorted[i] - p->items;
    free(sorted);
    warn_about_home(p);
    return SODA_OK;
}

/* The item's arrays as files name them. */
static void describe(const shared_arrays *p, const shared_arrays_item *item,
                     safetensors_tensor arrays[SHARED_ARRAYS])
{
    for (int a = 0; a < p->arrays; a++) {
        arrays[a] = (safetensors_tensor){.name = p->name[a],
                                         .dtype = SAFETENSORS_F32,
                                         .rank = item->shape[a].rank,
                                         .data = item->data[a]};
        for (int d = 0; d < arrays[a].rank; d++) arrays[a].dim[d] = item->shape[a].dim[d];
    }
}

static soda_status keep_copy(const shared_arrays *p, shared_arrays_item *item,
                             const float *const *data)
{
    const int64_t total = shared_arrays_numbers(p, item - p->items);
    int64_t at = 0;
    item->memory = malloc((size_t)total * sizeof *item->memory);
    if (!item->memory)
        return FAIL(SODA_ERR_MEMORY, "out of memory for %s of %lld numbers", p->kind,
                    (long long)total);
    for (int a = 0; a < p->arrays; a++) {
        const int64_t n = shape_count(&item->shape[a]);
        memcpy(item->memory + at, data[a], (size_t)n * sizeof *data[a]);
        item->data[a] = item->memory + at;
        at += n;
    }
    return SODA_OK;
}

/* Takes the item from the cache if it is there. */
static soda_status load(shared_arrays *p, shared_arrays_item *item)
{
    safetensors_tensor arrays[SHARED_ARRAYS];
    const float *data[SHARED_ARRAYS];
    if (!p->folder) return SODA_OK;
    describe(p, item, arrays);
    TRY((p->checked ? array_cache_map : array_cache_load)(p->folder, p->kind, item->key, arrays,
                                                          p->arrays, &item->set));
    if (!item->set) return SODA_OK;
    const char *sum = safetensors_metadata(item->set, "sha256");
    if (sum) snprintf(item->sha256, sizeof item->sha256, "%s", sum);
    for (int a = 0; a < p->arrays; a++) data[a] = safetensors_find(item->set, p->name[a])->data;
    if (p->count <= MOST_MAPPED) {
        memcpy(item->data, data, sizeof data[0] * (size_t)p->arrays);
        return SODA_OK;
    }
    const soda_status s = keep_copy(p, item, data);
    safetensors_close(item->set);
    item->set = NULL;
    return s;
}

soda_status shared_arrays_missing(shared_arrays *p, int64_t index, bool *missing)
{
    *missing = false;
    if (!shared_arrays_absent(p, index)) return SODA_OK;
    TRY(load(p, &p->items[index]));
    *missing = shared_arrays_absent(p, index);
    return SODA_OK;
}

bool shared_arrays_absent(const shared_arrays *p, int64_t index)
{
    return p->items[index].first == index && !p->items[index].data[0];
}

soda_status shared_arrays_put(shared_arrays *p, int64_t index, const float *const *data, bool store)
{
    shared_arrays_item *item = &p->items[index];
    safetensors_tensor arrays[SHARED_ARRAYS];
    if (store && p->folder) {
        for (int a = 0; a < p->arrays; a++) item->data[a] = data[a];
        describe(p, item, arrays);
        for (int a = 0; a < p->arrays; a++) item->data[a] = NULL;
        item->refused =
            array_cache_store(p->folder, p->kind, item->key, arrays, p->arrays) != SODA_OK;
        if (item->refused)
            warn();
        else if (p->count <= MOST_MAPPED)
            TRY(load(p, item));
    }
    return item->data[0] ? SODA_OK : keep_copy(p, item, data);
}

soda_status shared_arrays_checksum(shared_arrays *p, int64_t index, const char **sha256)
{
    shared_arrays_item *item = &p->items[index];
    safetensors_tensor arrays[SHARED_ARRAYS];
    describe(p, item, arrays);
    if (!item->sha256[0]) TRY(array_cache_checksum(arrays, p->arrays, item->sha256));
    *sha256 = item->sha256;
    return SODA_OK;
}

const float *shared_arrays_data(const shared_arrays *p, int64_t index, int which)
{
    return p->items[p->items[index].first].data[which];
}
