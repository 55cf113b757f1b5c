#include "model/random_weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/philox.h"

enum {
    BUFFER_BYTES = 4 << 20,
    REPEATS = 64, /* windows of up to 256 MiB: 67 M weights */
    VECTOR = 1 << 16,
};

typedef struct name_node {
    struct name_node *next;
    char name[];
} name_node;

typedef struct {
    soda_weight_source base;
    char *mapping;
    float *vector; /* [VECTOR] */
    name_node *names;
} random_weights;

static soda_status find(soda_weight_source *source, const char *name, const soda_shape *expected,
                        soda_weight *weight)
{
    random_weights *r = (random_weights *)source;
    const bool vector = expected->rank == 1;
    const soda_tensor tensor = {SODA_F32, *expected, vector ? (void *)r->vector : r->mapping};
    if (tensor_bytes(&tensor) >
        (vector ? VECTOR * sizeof *r->vector : (size_t)BUFFER_BYTES * REPEATS))
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: too large for a random weight", name);
    name_node *node = malloc(sizeof *node + strlen(name) + 1);
    if (!node) return FAIL(SODA_ERR_MEMORY, "out of memory");
    strcpy(node->name, name);
    node->next = r->names;
    r->names = node;
    *weight = (soda_weight){.name = node->name, .source = tensor, .mapped = true};
    return SODA_OK;
}

static bool has(soda_weight_source *source, const char *name)
{
    (void)source;
    /* what only old files have would be looked for first */
    return !strstr(name, "query") && !strstr(name, "text_model");
}

static soda_status map_repeatedly(random_weights *r, float scale)
{
    const int file = memfd_create("soda-random-weights", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, BUFFER_BYTES) != 0)
        return FAIL(SODA_ERR_IO, "random weights: no memory file");
    r->mapping =
        mmap(NULL, (size_t)BUFFER_BYTES * REPEATS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; r->mapping != MAP_FAILED && i < REPEATS; i++) {
        if (mmap(r->mapping + i * BUFFER_BYTES, BUFFER_BYTES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
            munmap(r->mapping, (size_t)BUFFER_BYTES * REPEATS);
            r->mapping = MAP_FAILED;
        }
    }
    close(file);
    if (r->mapping == MAP_FAILED) {
        r->mapping = NULL;
        return FAIL(SODA_ERR_MEMORY, "out of memory: no address space for random weights");
    }
    float *x = (float *)r->mapping;
    const int64_t count = BUFFER_BYTES / (int64_t)sizeof *x;
    philox_normal((philox_key){{1, 2}}, (philox_counter){{0}}, x, count);
    for (int64_t i = 0; i < count; i++) x[i] *= scale;
    return SODA_OK;
}

static soda_status fill_vector(random_weights *r, float scale)
{
    r->vector = malloc(VECTOR * sizeof *r->vector);
    if (!r->vector) return FAIL(SODA_ERR_MEMORY, "out of memory");
    philox_normal((philox_key){{1, 2}}, (philox_counter){{0}}, r->vector, VECTOR);
    for (int64_t i = 0; i < VECTOR; i++) r->vector[i] *= scale;
    return SODA_OK;
}

soda_status random_weights_create(float scale, float vector_scale, soda_weight_source **source)
{
    random_weights *r = calloc(1, sizeof *r);
    if (!r) return FAIL(SODA_ERR_MEMORY, "out of memory");
    r->base = (soda_weight_source){find, has};
    soda_status s;
    TRY_TO(done, fill_vector(r, vector_scale));
    TRY_TO(done, map_repeatedly(r, scale));
    *source = &r->base;
done:
    if (s != SODA_OK) random_weights_destroy(&r->base);
    return s;
}

void random_weights_destroy(soda_weight_source *source)
{
    random_weights *r = (random_weights *)source;
    if (!r) return;
    while (r->names) {
        name_node *node = r->names;
        r->names = node->next;
        free(node);
    }
    free(r->vector);
    if (r->mapping) munmap(r->mapping, (size_t)BUFFER_BYTES * REPEATS);
    free(r);
}
