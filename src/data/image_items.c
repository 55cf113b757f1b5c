#include "data/image_items.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"
#include "data/image_names.h"

enum { PATH_SIZE = 4096 };

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
    char path[PATH_SIZE];
    const int used = snprintf(path, sizeof path, "%s/%s", root, file);
    return used < (int)sizeof path && access(path, F_OK) == 0;
}

/* Gives a picture that is not below `root` under its name, but under the same name in another
 * Unicode form, the name that is there. */
static soda_status take_forms(image_items *list, const char *root)
{
    for (int64_t i = 0; i < list->count; i++) {
        char **file = &list->items[i].file, *same;
        bool searches = true;
        for (int form = 0; form < IMAGE_NAME_FORMS && searches; form++) {
            TRY(image_name_form(*file, form, &same));
            searches = same && !is_below(root, *file);
            if (searches && is_below(root, same)) {
                char *listed = *file;
                *file = same;
                same = listed;
                searches = false;
            }
            free(same);
        }
    }
    return SODA_OK;
}

/* Every picture must be a file, and be listed once. */
static soda_status check_files(const image_items *list, const char *root, const char *metadata)
{
    char path[PATH_SIZE];
    struct stat about;
    for (int64_t i = 0; i < list->count; i++) {
        const image_item *item = &list->items[i];
        const long long line = item->line;
        if (i > 0 && !strcmp(item[-1].file, item->file))
            return FAIL(SODA_ERR_INPUT, "%s:%lld: %s is already listed in line %lld", metadata,
                        line, item->file, (long long)item[-1].line);
        TRY(status_prefix(path_in(path, sizeof path, root, "%s", item->file), "%s:%lld: file_name",
                          metadata, line));
        if (stat(path, &about) != 0)
            return FAIL(SODA_ERR_INPUT, "%s:%lld: file_name: %s: %s", metadata, line, path,
                        strerror(errno));
        if (!S_ISREG(about.st_mode))
            return FAIL(SODA_ERR_INPUT, "%s:%lld: file_name: %s: not a regular file", metadata,
                        line, path);
    }
    return SODA_OK;
}

soda_status image_items_look_up(image_items *list, const char *root, const char *metadata)
{
    TRY(take_forms(list, root));
    image_items_sort(list);
    return check_files(list, root, metadata);
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
