/* libFuzzer harness of metadata.jsonl and metadata.csv: the first byte says which of the two
 * follows. The bytes go the way of a file: first into clean text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text_file.h"
#include "data/image_items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every list that is accepted: names are sorted, and none leads out of the folder.
 */
static void check(const image_items *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        const image_item *item = &list->items[i];
        if (!item->text || item->line < 1 || strncmp(item->file, "sub/", 4) != 0) abort();
        if (i > 0 && strcmp(item[-1].file, item->file) > 0) abort();
        if (strstr(item->file, "//") || strstr(item->file, "/../") || strchr(item->file, '\\'))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_items list = {0};
    if (size == 0) return 0;
    size_t bytes = size - 1;
    char *text = malloc(bytes + 1);
    if (!text) return 0;
    memcpy(text, data + 1, bytes);
    text[bytes] = '\0';
    if (text_file_clean(text, &bytes, "metadata") == SODA_OK) {
        const soda_status s =
            data[0] == 'c' ? image_items_add_csv(&list, text, bytes, "sub/", "d/metadata.csv")
                           : image_items_add_jsonl(&list, text, bytes, "sub/", "metadata.jsonl");
        image_items_sort(&list);
        if (s == SODA_OK) check(&list);
    }
    image_items_clear(&list);
    free(text);
    return 0;
}
