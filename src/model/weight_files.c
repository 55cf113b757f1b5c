#include "model/weight_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    soda_weight_source source; /* first: the pointer handed out is to it */
    soda_safetensors *set;
    float **whole; /* of tensor i, as fp32, where the file has fp64; NULL elsewhere */
    int count;
    char **name; /* of tensor i of the set, with the prefix, within one block behind the list */
} tensor_source;

/* The weight's type; false if the backends do not read it. */
static bool weight_dtype(safetensors_dtype from, soda_dtype *to)
{
    switch (from) {
    case SAFETENSORS_F32: *to = SODA_F32; return true;
    case SAFETENSORS_BF16: *to = SODA_BF16; return true;
    case SAFETENSORS_F16: *to = SODA_F16; return true;
    case SAFETENSORS_F64: *to = SODA_F32; return true; /* rounded: see narrow */
    default: return false;
    }
}

static bool shape_is(const safetensors_tensor *t, const soda_shape *shape)
{
    return t->rank == shape->rank &&
           memcmp(t->dim, shape->dim, (size_t)t->rank * sizeof *t->dim) == 0;
}

/* The values of an fp64 tensor as fp32, made at the first call. */
static soda_status narrow(tensor_source *from, const safetensors_tensor *t, void **data)
{
    float **made = &from->whole[t - safetensors_at(from->set, 0)];
    if (!*made) {
        *made = malloc(t->bytes / 2 + 1);
        if (!*made)
            return FAIL(SODA_ERR_MEMORY, "%s: tensor %s: out of memory for %zu bytes", t->file,
                        t->name, t->bytes / 2);
        TRY(safetensors_read_f32(t, *made));
    }
    *data = *made;
    return SODA_OK;
}

static soda_status source_find(soda_weight_source *source, const char *name,
                               const soda_shape *expected, soda_weight *weight)
{
    tensor_source *from = (tensor_source *)source;
    const safetensors_tensor *t = safetensors_find(from->set, name);
    char want[128], found[256];
    soda_dtype dtype;
    if (!t)
        return FAIL(SODA_ERR_INPUT, "%s: tensor %s is missing", safetensors_path(from->set), name);
    if (!shape_is(t, expected))
        return FAIL(SODA_ERR_INPUT, "%s: tensor %s: expected shape %s, found %s", t->file, name,
                    shape_text(expected, want, sizeof want),
                    safetensors_shape_text(t, found, sizeof found));
    if (!weight_dtype(t->dtype, &dtype))
        return FAIL(SODA_ERR_INPUT, "%s: tensor %s: expected type F64, F32, F16 or BF16, found %s",
                    t->file, name, safetensors_dtype_name(t->dtype));
    safetensors_mark_used(from->set, name);
    *weight = (soda_weight){
        .name = from->name[t - safetensors_at(from->set, 0)],
        /* The type has no read-only data; the mapping has: a write is caught by the system. */
        .source = {.dtype = dtype, .shape = *expected, .data = (void *)t->data},
        .mapped = true,
    };
    if (t->dtype != SAFETENSORS_F64) return SODA_OK;
    weight->mapped = false;
    return narrow(from, t, &weight->source.data);
}

static bool source_has(soda_weight_source *source, const char *name)
{
    return safetensors_find(((const tensor_source *)source)->set, name) != NULL;
}

soda_status weight_files_create(soda_safetensors *set, const char *prefix,
                                soda_weight_source **source)
{
    const int count = safetensors_count(set);
    const size_t prefix_bytes = strlen(prefix);
    size_t bytes = (size_t)count * sizeof(char *);
    for (int i = 0; i < count; i++)
        bytes += prefix_bytes + strlen(safetensors_at(set, i)->name) + 1;

    tensor_source *made = malloc(sizeof *made);
    char **names = malloc(bytes + 1);
    float **whole = calloc((size_t)count + 1, sizeof *whole);
    if (!made || !names || !whole) {
        free(made);
        free(whole);
        free(names);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for %zu bytes of names",
                    safetensors_path(set), bytes);
    }
    char *at = (char *)(names + count);
    for (int i = 0; i < count; i++) {
        names[i] = at;
        at += sprintf(at, "%s%s", prefix, safetensors_at(set, i)->name) + 1;
    }
    *made = (tensor_source){.source = {.find = source_find, .has = source_has},
                            .set = set,
                            .whole = whole,
                            .count = count,
                            .name = names};
    *source = &made->source;
    return SODA_OK;
}

void weight_files_destroy(soda_weight_source *source)
{
    tensor_source *from = (tensor_source *)source;
    if (!source) return;
    for (int i = 0; i < from->count; i++) free(from->whole[i]);
    free(from->whole);
    free(from->name);
    free(source);
}
