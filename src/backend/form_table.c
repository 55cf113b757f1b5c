/* form_table.c: open addressing with linear probing, doubled before it is three quarters full.
 * Nothing is ever removed, and nothing depends on the order of the slots. */
#include "backend/form_table.h"

#include <stdlib.h>
#include <string.h>

typedef struct form_slot {
    char *name; /* NULL: the slot is empty */
    uint64_t form;
    int number;
} form_slot;

enum { FIRST_CAPACITY = 256 }; /* capacities are powers of two */

/* FNV-1a over the name, then the bytes of the form. */
static uint64_t hash(const char *name, uint64_t form)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    for (int i = 0; i < 8; i++) h = (h ^ (form >> 8 * i & 0xff)) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* The slot that holds name and form, or the empty one where they belong. */
static form_slot *find(form_slot *slots, size_t capacity, const char *name, uint64_t form)
{
    size_t i = (size_t)hash(name, form) & (capacity - 1);
    while (slots[i].name && (slots[i].form != form || strcmp(slots[i].name, name) != 0))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

int form_table_find(const form_table *table, const char *name, uint64_t form)
{
    if (!table->slots) return -1;
    const form_slot *slot = find(table->slots, table->capacity, name, form);
    return slot->name ? slot->number : -1;
}

static soda_status grow(form_table *table)
{
    const size_t capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
    form_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots) return FAIL(SODA_ERR_MEMORY, "out of memory: table of %zu weights", capacity);
    for (size_t i = 0; i < table->capacity; i++) {
        const form_slot *slot = &table->slots[i];
        if (slot->name) *find(slots, capacity, slot->name, slot->form) = *slot;
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return SODA_OK;
}

soda_status form_table_add(form_table *table, const char *name, uint64_t form, int number)
{
    if (4 * (table->count + 1) > 3 * table->capacity) TRY(grow(table));
    char *copy = strdup(name);
    if (!copy) return FAIL(SODA_ERR_MEMORY, "out of memory: %s", name);
    *find(table->slots, table->capacity, name, form) = (form_slot){copy, form, number};
    table->count++;
    return SODA_OK;
}

void form_table_free(form_table *table)
{
    for (size_t i = 0; i < table->capacity; i++) free(table->slots[i].name);
    free(table->slots);
    *table = (form_table){0};
}
