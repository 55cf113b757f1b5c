#include "data/image_items.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

soda_status image_items_add(image_items *list, const image_item *item)
{
    if (list->count == list->room) {
        const int64_t room = list->room ? 2 * list->room : 64;
        image_item *items = realloc(list->items, (size_t)room * sizeof *items);
        if (!items) goto no_memory;
        list->items = items;
        list->room = room;
    }
    image_item *added = &list->items[list->count++];
    *added = (image_item){.file = strdup(item->file),
                          .text = strdup(item->text),
                          .caption_file = strdup(item->caption_file),
                          .line = item->line};
    if (item->class_text) added->class_text = strdup(item->class_text);
    if (added->file && added->text && added->caption_file &&
        (added->class_text || !item->class_text))
        return SODA_OK;
no_memory:
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the list of pictures", item->file);
}

static int compare_items(const void *a, const void *b)
{
    const image_item *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    if (order == 0) order = strcmp(x->caption_file, y->caption_file);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

void image_items_sort(image_items *list)
{
    if (list->count > 1)
        qsort(list->items, (size_t)list->count, sizeof *list->items, compare_items);
}

static bool is_below(const char *root, const char *file)
{
    char path[4096];
    const int used = snprintf(path, sizeof path, "%s/%s", root, file);
    return used < (int)sizeof path && access(path, F_OK) == 0;
}

/* Such a name has one form. */
static bool is_ascii(const char *name)
{
    while (*name && (unsigned char)*name < 0x80) name++;
    return !*name;
}

soda_status image_items_take_forms(image_items *list, const char *root)
{
    for (int64_t i = 0; i < list->count; i++) {
        char **file = &list->items[i].file;
        if (is_ascii(*file)) continue; /* nothing to look for on the disk */
        for (int form = 0; form < 2 && !is_below(root, *file); form++) {
            utf8proc_uint8_t *other = NULL;
            const utf8proc_ssize_t bytes =
                utf8proc_map((const utf8proc_uint8_t *)*file, 0, &other,
                             UTF8PROC_NULLTERM | UTF8PROC_STABLE |
                                 (form ? UTF8PROC_DECOMPOSE : UTF8PROC_COMPOSE));
            if (bytes == UTF8PROC_ERROR_NOMEM)
                return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its name", *file);
            if (bytes < 0 || !is_below(root, (char *)other)) {
                free(other);
                continue;
            }
            free(*file);
            *file = (char *)other;
        }
    }
    return SODA_OK;
}

static int compare_name(const void *name, const void *item)
{
    return strcmp(name, ((const image_item *)item)->file);
}

const image_item *image_items_find(const image_items *list, const char *file)
{
    if (list->count == 0) return NULL;
    return bsearch(file, list->items, (size_t)list->count, sizeof *list->items, compare_name);
}

void image_items_clear(image_items *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        free(list->items[i].file);
        free(list->items[i].text);
        free(list->items[i].class_text);
        free(list->items[i].caption_file);
    }
    free(list->items);
    *list = (image_items){0};
}
