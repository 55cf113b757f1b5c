/* shape_source.h: for the harnesses that build networks: a source that has every weight, by shape
 * and without values. */
#pragma once

#include <stdlib.h>

#include "graph/weight.h"

enum { MOST_LAYERS = 40 }; /* larger networks are fine and slow */

static char shape_names[1 << 20];
static size_t shape_names_used;

static soda_status shape_find(soda_weight_source *source, const char *name,
                              const soda_shape *expected, soda_weight *weight)
{
    (void)source;
    char *kept = shape_names + shape_names_used;
    for (const char *c = name; *c; c++) {
        if (shape_names_used + 2 > sizeof shape_names)
            return FAIL(SODA_ERR_MEMORY, "too many names");
        shape_names[shape_names_used++] = *c;
    }
    shape_names[shape_names_used++] = '\0';
    *weight = (soda_weight){.name = kept, .source = {.dtype = SODA_F16, .shape = *expected}};
    return SODA_OK;
}

static bool shape_has(soda_weight_source *source, const char *name)
{
    (void)source, (void)name;
    return false;
}

/* A fresh source; the names of the one before are gone. */
static soda_weight_source shape_source(void)
{
    shape_names_used = 0;
    return (soda_weight_source){.find = shape_find, .has = shape_has};
}

/* What was accepted must work: it was checked for just that. */
static void want(bool holds)
{
    if (!holds) abort();
}
