#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file_kind.h"
#include "core/json.h"
#include "core/path.h"
#include "io/safetensors_header.h"

typedef struct {
    char *path;
    void *map; /* NULL before it is mapped */
    size_t bytes;
    uint64_t identity[5]; /* device, inode, bytes, time of the last change in s and ns */
    safetensors_header header;
} shard;

struct soda_safetensors {
    char *path; /* what was asked for: a file or an index */
    shard *shard;
    int shards;
    safetensors_tensor *tensor; /* all shards, sorted by name */
    int count;
    safetensors_pair *pair;
    int pairs;
};

static soda_status no_memory(const char *path)
{
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory while opening tensors", path);
}

static soda_status map_open_file(int fd, shard *file)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return FAIL(SODA_ERR_IO, "%s: cannot read: %s", file->path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return FAIL(SODA_ERR_INPUT, "%s: expected a regular file", file->path);
    if (about.st_size == 0) return file_kind_refuse("", 0, file->path, "a safetensors file");
    file->bytes = (size_t)about.st_size;
    file->identity[0] = (uint64_t)about.st_dev;
    file->identity[1] = (uint64_t)about.st_ino;
    file->identity[2] = (uint64_t)about.st_size;
    file->identity[3] = (uint64_t)about.st_mtim.tv_sec;
    file->identity[4] = (uint64_t)about.st_mtim.tv_nsec;
    void *map = mmap(NULL, file->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return FAIL(errno == ENOMEM ? SODA_ERR_MEMORY : SODA_ERR_IO, "%s: cannot map %zu bytes: %s",
                    file->path, file->bytes, strerror(errno));
    file->map = map;
    return SODA_OK;
}

/* Maps `path` and reads its header. `path` belongs to the shard now, whatever the outcome. */
static soda_status open_shard(const soda_safetensors *set, char *path, shard *file)
{
    file->path = path;
    if (!path) return no_memory(set->path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return path_cannot_open(path);
    const soda_status s = map_open_file(fd, file);
    close(fd); /* the mapping stays */
    TRY(s);
    return safetensors_header_read(file->map, file->bytes, path, &file->header);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const safetensors_tensor *)a)->name, ((const safetensors_tensor *)b)->name);
}

/* One sorted list of the tensors of all shards, no name twice. */
static soda_status collect_tensors(soda_safetensors *set)
{
    size_t count = 0;
    for (int i = 0; i < set->shards; i++) count += (size_t)set->shard[i].header.count;
    set->tensor = malloc((count + 1) * sizeof *set->tensor);
    if (!set->tensor) return no_memory(set->path);
    for (int i = 0; i < set->shards; i++) {
        const safetensors_header *header = &set->shard[i].header;
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there, or open_shard failed */
        memcpy(set->tensor + set->count, header->tensor,
               (size_t)header->count * sizeof *header->tensor);
        set->count += header->count;
    }
    qsort(set->tensor, (size_t)set->count, sizeof *set->tensor, by_name);
    for (int i = 1; i < set->count; i++) {
        const safetensors_tensor *t = &set->tensor[i];
        if (strcmp(t[-1].name, t->name) == 0)
            return FAIL(SODA_ERR_INPUT, "%s: tensor %s is in two files: %s and %s", set->path,
                        t->name, t[-1].file, t->file);
    }
    return SODA_OK;
}

static soda_status collect_metadata(soda_safetensors *set)
{
    size_t count = 0;
    for (int i = 0; i < set->shards; i++)
        count += json_object_size(json_object_get(set->shard[i].header.root, "__metadata__"));
    set->pair = malloc((count + 1) * sizeof *set->pair);
    if (!set->pair) return no_memory(set->path);
    for (int i = 0; i < set->shards; i++) {
        const char *key;
        json_t *value, *all = json_object_get(set->shard[i].header.root, "__metadata__");
        json_object_foreach(all, key, value)
        {
            set->pair[set->pairs++] = (safetensors_pair){key, json_string_value(value)};
        }
    }
    return SODA_OK;
}

/* The first `length` bytes of `folder`, then the name; for free(). NULL without memory. */
static char *join(const char *folder, size_t length, const char *name)
{
    const size_t bytes = length + strlen(name) + 1;
    char *path = malloc(bytes);
    if (path) snprintf(path, bytes, "%.*s%s", (int)length, folder, name);
    return path;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Opens the shard `name` of the index unless it is open already; *file is its number. */
static soda_status need_shard(soda_safetensors *set, const soda_json *map, const char *tensor,
                              const char *name, int *file)
{
    /* The index must not lead out of its folder. */
    if (!name[0] || strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
        return soda_json_refuse(map, tensor, "the name of a file beside the index");
    for (*file = 0; *file < set->shards; ++*file) {
        if (strcmp(file_name(set->shard[*file].path), name) == 0) return SODA_OK;
    }
    shard *more = realloc(set->shard, ((size_t)set->shards + 1) * sizeof *more);
    if (!more) return no_memory(set->path);
    set->shard = more;
    more[set->shards++] = (shard){0};
    const size_t folder = (size_t)(file_name(set->path) - set->path);
    return open_shard(set, join(set->path, folder, name), &more[*file]);
}

/* Every tensor must be where the map says, and every tensor must be in the map. */
static soda_status check_map(soda_safetensors *set, const soda_json *map)
{
    const char *name, *file;
    json_t *value;
    json_object_foreach((json_t *)map->object, name, value)
    {
        const safetensors_tensor *t = safetensors_find(set, name);
        if (!t)
            return FAIL(SODA_ERR_INPUT, "%s: weight_map.%s: expected in %s, found in no file",
                        set->path, name, json_string_value(value));
        if (strcmp(file_name(t->file), json_string_value(value)) != 0)
            return FAIL(SODA_ERR_INPUT, "%s: weight_map.%s: expected in %s, found in %s", set->path,
                        name, json_string_value(value), t->file);
    }
    for (int i = 0; i < set->count; i++) {
        TRY(soda_json_string(map, set->tensor[i].name, NULL, &file));
        if (!file)
            return FAIL(SODA_ERR_INPUT, "%s: tensor %s is not in the weight_map of %s",
                        set->tensor[i].file, set->tensor[i].name, set->path);
    }
    return SODA_OK;
}

static soda_status open_index(soda_safetensors *set)
{
    soda_status s = SODA_OK;
    soda_json index = {0}, map;
    const char *name;
    json_t *value;
    TRY(soda_json_load(set->path, &index));
    TRY_TO(done, soda_json_require(&index, "weight_map"));
    TRY_TO(done, soda_json_child(&index, "weight_map", &map));
    json_object_foreach((json_t *)map.object, name, value)
    {
        const char *file;
        int number;
        TRY_TO(done, soda_json_require(&map, name));
        TRY_TO(done, soda_json_string(&map, name, NULL, &file));
        TRY_TO(done, need_shard(set, &map, name, file, &number));
    }
    TRY_TO(done, collect_tensors(set));
    TRY_TO(done, check_map(set, &map));
done:
    soda_json_free(&index);
    return s;
}

static soda_status open_single(soda_safetensors *set)
{
    set->shard = calloc(1, sizeof *set->shard);
    if (!set->shard) return no_memory(set->path);
    set->shards = 1;
    TRY(open_shard(set, strdup(set->path), &set->shard[0]));
    return collect_tensors(set);
}

soda_status safetensors_open(const char *path, soda_safetensors **set)
{
    soda_status s = SODA_OK;
    soda_safetensors *opened = calloc(1, sizeof *opened);
    if (opened) opened->path = strdup(path);
    if (!opened || !opened->path) {
        free(opened);
        return no_memory(path);
    }
    const size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".json") == 0)
        TRY_TO(failed, open_index(opened));
    else
        TRY_TO(failed, open_single(opened));
    TRY_TO(failed, collect_metadata(opened));
    *set = opened;
    return SODA_OK;
failed:
    safetensors_close(opened);
    return s;
}

void safetensors_close(soda_safetensors *set)
{
    if (!set) return;
    for (int i = 0; i < set->shards; i++) {
        shard *file = &set->shard[i];
        safetensors_header_free(&file->header);
        if (file->map) munmap(file->map, file->bytes);
        free(file->path);
    }
    free(set->shard);
    free(set->tensor);
    free(set->pair);
    free(set->path);
    free(set);
}

const char *safetensors_path(const soda_safetensors *set) { return set->path; }

soda_status safetensors_identity(const soda_safetensors *set, uint8_t digest[SHA256_BYTES])
{
    soda_sha256 *hash;
    soda_status s;
    TRY(sha256_create(&hash));
    for (int i = 0; i < set->shards; i++)
        TRY_TO(done, sha256_update(hash, set->shard[i].identity, sizeof set->shard[i].identity));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    return s;
}

int safetensors_count(const soda_safetensors *set) { return set->count; }

const safetensors_tensor *safetensors_at(const soda_safetensors *set, int index)
{
    return &set->tensor[index];
}

const safetensors_tensor *safetensors_find(const soda_safetensors *set, const char *name)
{
    const safetensors_tensor key = {.name = name};
    return bsearch(&key, set->tensor, (size_t)set->count, sizeof key, by_name);
}

const char *safetensors_metadata(const soda_safetensors *set, const char *key)
{
    for (int i = 0; i < set->pairs; i++)
        if (strcmp(set->pair[i].key, key) == 0) return set->pair[i].value;
    return NULL;
}

int safetensors_metadata_count(const soda_safetensors *set) { return set->pairs; }

safetensors_pair safetensors_metadata_at(const soda_safetensors *set, int index)
{
    return set->pair[index];
}

void safetensors_mark_used(soda_safetensors *set, const char *name)
{
    const safetensors_tensor *found = safetensors_find(set, name);
    if (found) set->tensor[found - set->tensor].used = true;
}

int safetensors_unused(const soda_safetensors *set, char *names, size_t size)
{
    int unused = 0;
    size_t at = 0;
    if (size) names[0] = '\0';
    for (int i = 0; i < set->count; i++) {
        if (set->tensor[i].used) continue;
        if (at < size)
            at += (size_t)snprintf(names + at, size - at, "%s%s", unused ? ", " : "",
                                   set->tensor[i].name);
        unused++;
    }
    return unused;
}
