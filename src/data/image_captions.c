/* The .txt files beside pictures: see image_folder.h. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text_file.h"
#include "data/image_names.h"
#include "data/image_scan_parts.h"

enum { MAX_CAPTION = 1 << 20 };

static char **find_exact(const scanned_folder *at, const char *name)
{
    static const char *const endings[] = {".txt", ".TXT", ".Txt"};
    char caption[IMAGE_PATH_BYTES];
    char **found = NULL;
    const int stem = (int)(strrchr(name, '.') - name);
    for (int i = 0; i < 3 && !found; i++) {
        snprintf(caption, sizeof caption, "%.*s%s", stem, name, endings[i]);
        found = image_scan_find_name(at, caption);
    }
    return found;
}

soda_status image_captions_find(const scanned_folder *at, const char *name, char ***entry)
{
    *entry = find_exact(at, name);
    for (int form = 0; form < IMAGE_NAME_FORMS && !*entry; form++) {
        char *same;
        TRY(image_name_form(name, form, &same));
        if (same) *entry = find_exact(at, same);
        free(same);
    }
    return SODA_OK;
}

static soda_status note_no_caption(image_scan_walk *walk, const scanned_folder *at,
                                   const char *name)
{
    char other[IMAGE_PATH_BYTES];
    const int stem = (int)(strrchr(name, '.') - name);
    if (walk->no_caption++ > 0) return SODA_OK;
    TRY(image_scan_path(walk, at, name, walk->first));
    snprintf(walk->hint, sizeof walk->hint, "%.*s.txt or in metadata.jsonl, found neither", stem,
             name);
    snprintf(other, sizeof other, "%.*s.caption", stem, name);
    if (image_scan_find_name(at, other))
        snprintf(walk->hint, sizeof walk->hint, "%.*s.txt, found it in %s: rename such files", stem,
                 name, other);
    else if (image_scan_find_name(at, "metadata.json"))
        snprintf(walk->hint, sizeof walk->hint,
                 "%.*s.txt or in metadata.jsonl, found metadata.json: write its entries to "
                 "metadata.jsonl, one JSON object per line",
                 stem, name);
    return SODA_OK;
}

soda_status image_captions_add(image_scan_walk *walk, scanned_folder *at, const char *name)
{
    char path[IMAGE_PATH_BYTES], file[IMAGE_PATH_BYTES], caption[IMAGE_PATH_BYTES], *text;
    size_t bytes, first = 0;
    char **entry;
    TRY(image_captions_find(at, name, &entry));
    if (!entry) return note_no_caption(walk, at, name);
    TRY(image_scan_path(walk, at, *entry, path));
    TRY(text_file_read(path, MAX_CAPTION, &text, &bytes));
    while (bytes > 0 && isspace((unsigned char)text[bytes - 1])) bytes--;
    while (first < bytes && isspace((unsigned char)text[first])) first++;
    text[bytes] = '\0';
    snprintf(file, sizeof file, "%s%s", at->path, name);
    snprintf(caption, sizeof caption, "%s%s", at->path, *entry);
    soda_status s;
    const image_item item = {.file = file, .text = text + first, .caption_file = caption};
    if (at->used[entry - at->names]) TRY_TO(done, image_scan_leave_out(walk, SHARED_CAPTION, file));
    at->used[entry - at->names] = true;
    TRY_TO(done, image_items_add(&walk->folder->list, &item));
done:
    free(text);
    return s;
}

soda_status image_captions_count_lone(image_scan_walk *walk, const scanned_folder *at)
{
    for (size_t i = 0; i < at->count && !at->listed; i++)
        if (!at->used[i] && image_name_is(at->names[i], NAME_CAPTION))
            TRY(image_scan_leave_out_entry(walk, LEFT_OUT_CAPTION, at, at->names[i]));
    return SODA_OK;
}
