/* libFuzzer harness of metadata.jsonl. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every list that is accepted: names rise, and none leads out of the folder. */
static void check(const image_folder *folder)
{
    for (int64_t i = 0; i < folder->count; i++) {
        const image_item *item = &folder->items[i];
        if (!item->text || item->line < 1) abort();
        if (i > 0 && strcmp(folder->items[i - 1].file, item->file) >= 0) abort();
        if (item->file[0] == '/' || item->file[0] == '\0' || !strncmp(item->file, "../", 3) ||
            strstr(item->file, "/../") || !strcmp(item->file, ".."))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_folder folder = {0};
    if (image_folder_parse((const char *)data, size, "metadata.jsonl", &folder) == SODA_OK)
        check(&folder);
    image_folder_clear(&folder);
    return 0;
}
