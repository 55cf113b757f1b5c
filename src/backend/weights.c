/* weights.c: the store of backend.h: an arena, and a hash table from name and form to memory.
 *
 * The table is open addressing with linear probing, doubled before it is three quarters full.
 * Nothing is ever removed, and nothing depends on the order of the slots. */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "core/arena.h"

typedef struct {
    char *name; /* NULL: the slot is empty */
    uint64_t form;
    size_t bytes;
    void *data;
} entry;

struct soda_weights {
    soda_arena *arena;
    entry *slots;
    size_t capacity, count; /* capacity is a power of two */
};

enum { FIRST_CAPACITY = 256 };

/* FNV-1a over the name, then the bytes of the form. */
static uint64_t hash(const char *name, uint64_t form)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    for (int i = 0; i < 8; i++) h = (h ^ (form >> 8 * i & 0xff)) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* The slot that holds name and form, or the empty one where they belong. */
static entry *find(entry *slots, size_t capacity, const char *name, uint64_t form)
{
    size_t i = (size_t)hash(name, form) & (capacity - 1);
    while (slots[i].name && (slots[i].form != form || strcmp(slots[i].name, name) != 0))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static soda_status grow(soda_weights *weights)
{
    const size_t capacity = weights->capacity ? 2 * weights->capacity : FIRST_CAPACITY;
    entry *slots = calloc(capacity, sizeof *slots);
    if (!slots) return FAIL(SODA_ERR_MEMORY, "out of memory: table of %zu weights", capacity);
    for (size_t i = 0; i < weights->capacity; i++) {
        const entry *e = &weights->slots[i];
        if (e->name) *find(slots, capacity, e->name, e->form) = *e;
    }
    free(weights->slots);
    weights->slots = slots;
    weights->capacity = capacity;
    return SODA_OK;
}

soda_status weights_create(soda_weights **weights)
{
    *weights = NULL;
    soda_weights *store = calloc(1, sizeof *store);
    if (!store) return FAIL(SODA_ERR_MEMORY, "out of memory: store of weights");
    soda_status s = SODA_OK;
    TRY_TO(failed, arena_create(&store->arena));
    TRY_TO(failed, grow(store));
    *weights = store;
    return SODA_OK;
failed:
    weights_destroy(store);
    return s;
}

void weights_destroy(soda_weights *weights)
{
    if (!weights) return;
    for (size_t i = 0; i < weights->capacity; i++) free(weights->slots[i].name);
    free(weights->slots);
    arena_destroy(weights->arena);
    free(weights);
}

soda_status weights_get(soda_weights *weights, const char *name, uint64_t form, size_t bytes,
                        void **data, bool *fresh)
{
    *data = NULL;
    *fresh = false;
    entry *e = find(weights->slots, weights->capacity, name, form);
    if (e->name) {
        if (e->bytes != bytes)
            return FAIL(SODA_ERR_INTERNAL, "%s: form %llu has %zu bytes, %zu were asked for", name,
                        (unsigned long long)form, e->bytes, bytes);
        *data = e->data;
        return SODA_OK;
    }
    if (4 * (weights->count + 1) > 3 * weights->capacity) {
        TRY(grow(weights));
        e = find(weights->slots, weights->capacity, name, form);
    }
    void *memory;
    TRY(arena_alloc(weights->arena, bytes, &memory));
    char *copy = strdup(name);
    if (!copy) return FAIL(SODA_ERR_MEMORY, "out of memory: %s", name);
    *e = (entry){.name = copy, .form = form, .bytes = bytes, .data = memory};
    weights->count++;
    *data = memory;
    *fresh = true;
    return SODA_OK;
}

size_t weights_bytes(const soda_weights *weights) { return arena_used(weights->arena); }
