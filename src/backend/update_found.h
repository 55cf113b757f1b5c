/* update_found.h: what stood in the way of the addition of x [n] to a sum. */
#pragma once

#include <stdint.h>

typedef struct {
    int64_t where;     /* the least i whose x[i] cannot be added; -1: none */
    float value, last; /* x[where], if there is one; x[n - 1] */
} update_found;

/* Where additions note what they found, the next one at list[(*count)++]. Both are memory of the
 * device, so that every addition of a step is the same work. */
typedef struct {
    update_found *list;
    int64_t *count;
} update_notes;
