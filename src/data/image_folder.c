#include "data/image_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/log.h"
#include "core/path.h"
#include "data/image_names.h"
#include "data/image_scan.h"

soda_status image_folder_path(const image_folder *f, int64_t index, char *path, size_t size)
{
    return path_in(path, size, f->root, "%s", f->list.items[index].file);
}

/* How a line about one or several files goes on. */
static const char *const reasons[LEFT_OUT_KINDS][2] = {
    [LEFT_OUT_UNLISTED] = {"picture is not listed in the metadata file and is left out",
                           "pictures are not listed in the metadata file and are left out"},
    [LEFT_OUT_FORMAT] = {"picture is left out: its format is not one that soda reads",
                         "pictures are left out: their formats are not ones that soda reads"},
    [LEFT_OUT_HIDDEN] = {"picture is left out: its name begins with a dot",
                         "pictures are left out: their names begin with a dot"},
    [LEFT_OUT_ARCHIVE] = {"archive is left out: unpack it", "archives are left out: unpack them"},
    [LEFT_OUT_RUN] = {"folder is left out: a run of soda wrote it",
                      "folders are left out: runs of soda wrote them"},
    [LEFT_OUT_LINK] = {"symbolic link leads nowhere and is left out",
                       "symbolic links lead nowhere and are left out"},
    [LEFT_OUT_CAPTION] = {"caption file has no picture and is left out",
                          "caption files have no picture and are left out"},
    [SHARED_CAPTION] =
        {"picture has the name, and so the caption, of another but for the ending",
         "pictures have the name, and so the caption, of another but for the ending"},
    [SPLIT_FOLDER] =
        {"folder beside train is part of the data set, too (data.path: .../train leaves it out)",
         "folders beside train are part of the data set, too (data.path: .../train leaves them "
         "out)"},
    [REPEATS_FOLDER] =
        {"folder name begins with repeats, as kohya's scripts read them, which soda does not: all "
         "pictures are drawn equally often, and train.steps counts steps",
         "folder names begin with repeats, as kohya's scripts read them, which soda does not: all "
         "pictures are drawn equally often, and train.steps counts steps"},
    [EMPTY_CAPTION] = {"picture has an empty caption", "pictures have empty captions"},
};

bool image_folder_left_out(const image_folder *f, left_out_kind kind, char *line, size_t size)
{
    const left_out *left = &f->left[kind];
    if (left->count == 0) return false;
    if (left->count == 1)
        snprintf(line, size, "1 %s: %s", reasons[kind][0], left->first);
    else
        snprintf(line, size, "%lld %s; the first is %s", (long long)left->count, reasons[kind][1],
                 left->first);
    return true;
}

void image_folder_warn(const image_folder *f)
{
    char line[1024];
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++)
        if (image_folder_left_out(f, kind, line, sizeof line)) log_warning("%s: %s", f->root, line);
}

/* Nothing was found: says what is there instead. */
static soda_status refuse_empty(const image_folder *f)
{
    char line[1024];
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++)
        if (image_folder_left_out(f, kind, line, sizeof line))
            return FAIL(SODA_ERR_INPUT, "%s: expected pictures with captions, found none: %s",
                        f->root, line);
    return FAIL(SODA_ERR_INPUT,
                "%s: expected pictures (%s) with captions in .txt files, metadata.jsonl or "
                "metadata.csv, found none in this folder or its subfolders",
                f->root, image_name_endings(line, sizeof line));
}

soda_status image_folder_open(const char *path, image_folder **folder)
{
    soda_status s = SODA_OK;
    image_folder *f = *folder = calloc(1, sizeof *f);
    if (f) f->root = strdup(path);
    if (!f || !f->root) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for the list of pictures", path);
        goto failed;
    }
    TRY_TO(failed, image_scan(f));
    image_items_sort(&f->list);
    if (f->list.count > 0) return SODA_OK;
    s = refuse_empty(f);
failed:
    image_folder_close(f);
    *folder = NULL;
    return s;
}

void image_folder_close(image_folder *f)
{
    if (!f) return;
    image_items_clear(&f->list);
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++) free(f->left[kind].first);
    free(f->root);
    free(f);
}
