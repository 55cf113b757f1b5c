/* form_table.h: a map from the name of a weight and one of its forms to a number. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef struct {
    struct form_slot *slots;
    size_t capacity, count;
} form_table; /* all zero is empty */

/* The number of (name, form), or -1. */
int form_table_find(const form_table *table, const char *name, uint64_t form);

/* Adds (name, form), which must be absent; the name is copied. */
soda_status form_table_add(form_table *table, const char *name, uint64_t form, int number);

void form_table_free(form_table *table);
