/* golden.h: named fp64 arrays of a safetensors file that this repository made itself. */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

typedef struct {
    char *bytes; /* the whole file, and room for alignment */
    json_t *header;
    const char *data;
} golden;

static inline void golden_open(golden *g, const char *path)
{
    uint64_t length = 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(&length, sizeof length, 1, file), 1);
    fseek(file, 0, SEEK_END);
    const size_t rest = (size_t)ftell(file) - sizeof length;
    fseek(file, sizeof length, SEEK_SET);
    g->bytes = malloc(rest);
    assert_int_equal(fread(g->bytes, 1, rest, file), rest);
    fclose(file);
    g->header = json_loadb(g->bytes, length, 0, NULL);
    assert_non_null(g->header);
    g->data = g->bytes + length;
}

/* A copy of array `name`, which must hold `count` fp64 numbers; free it. */
static inline double *golden_array(const golden *g, const char *name, int64_t count)
{
    const json_t *entry = json_object_get(g->header, name);
    if (!entry) fail_msg("no golden array %s", name);
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "F64");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const int64_t begin = json_integer_value(json_array_get(offsets, 0));
    const int64_t end = json_integer_value(json_array_get(offsets, 1));
    assert_int_equal(end - begin, count * (int64_t)sizeof(double));
    double *x = malloc((size_t)(end - begin));
    memcpy(x, g->data + begin, (size_t)(end - begin));
    return x;
}

static inline void golden_close(golden *g)
{
    json_decref(g->header);
    free(g->bytes);
}
