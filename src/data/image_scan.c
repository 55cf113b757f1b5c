#include "data/image_scan.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"
#include "core/text_file.h"
#include "data/image_names.h"
#include "data/image_scan_parts.h"

enum { MAX_METADATA = 1 << 30, MAX_DEPTH = 32 };

soda_status image_scan_leave_out(image_scan_walk *walk, left_out_kind kind, const char *file)
{
    left_out *left = &walk->folder->left[kind];
    if (left->count++ > 0) return SODA_OK;
    left->first = strdup(file);
    if (left->first) return SODA_OK;
    left->count = 0;
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the list of pictures", file);
}

soda_status image_scan_leave_out_entry(image_scan_walk *walk, left_out_kind kind,
                                       const scanned_folder *at, const char *name)
{
    char file[IMAGE_PATH_BYTES + NAME_MAX];
    snprintf(file, sizeof file, "%s%s", at->path, name);
    return image_scan_leave_out(walk, kind, file);
}

soda_status image_scan_path(const image_scan_walk *walk, const scanned_folder *at, const char *name,
                            char *path)
{
    return path_in(path, IMAGE_PATH_BYTES, walk->folder->root, "%s%s", at->path, name);
}

/* ---- names ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **image_scan_find_name(const scanned_folder *at, const char *name)
{
    return bsearch(&name, at->names, at->count, sizeof *at->names, by_bytes);
}

/* A picture whose name begins with a dot; what macOS puts beside pictures, "._NAME", is none. */
static soda_status note_hidden(image_scan_walk *walk, const scanned_folder *at, const char *name)
{
    if (name[1] == '_' || !image_name_is(name + 1, NAME_PICTURE)) return SODA_OK;
    return image_scan_leave_out_entry(walk, LEFT_OUT_HIDDEN, at, name);
}

static soda_status read_names(image_scan_walk *walk, scanned_folder *at, DIR *list)
{
    size_t room = 64;
    at->names = malloc(room * sizeof *at->names); /* never NULL, for searches of an empty folder */
    if (!at->names) return FAIL(SODA_ERR_MEMORY, "out of memory for the list of pictures");
    for (const struct dirent *e; (e = readdir(list)) != NULL;) {
        if (!strcmp(e->d_name, ".lock")) at->locked = true;
        if (e->d_name[0] == '.') {
            TRY(note_hidden(walk, at, e->d_name));
            continue;
        }
        if (at->count == room) {
            char **larger = realloc(at->names, (room *= 2) * sizeof *larger);
            if (!larger) return FAIL(SODA_ERR_MEMORY, "out of memory for the list of pictures");
            at->names = larger;
        }
        at->names[at->count] = strdup(e->d_name);
        if (!at->names[at->count++])
            return FAIL(SODA_ERR_MEMORY, "out of memory for the list of pictures");
    }
    qsort(at->names, at->count, sizeof *at->names, by_bytes);
    at->used = calloc(at->count + 1, sizeof *at->used);
    return at->used ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for the list of pictures");
}

/* ---- metadata ---- */

/* Reads the folder's metadata file, if there is one, into `list`. */
static soda_status read_metadata(const image_scan_walk *walk, const scanned_folder *at,
                                 image_items *list, bool *found)
{
    const bool json = image_scan_find_name(at, "metadata.jsonl"),
               csv = image_scan_find_name(at, "metadata.csv");
    char path[IMAGE_PATH_BYTES], *text;
    size_t bytes;
    *found = json || csv;
    TRY(image_scan_path(walk, at,
                        json  ? "metadata.jsonl"
                        : csv ? "metadata.csv"
                              : "metadata.parquet",
                        path));
    if (json && csv)
        return FAIL(SODA_ERR_INPUT, "%s: expected one metadata file, found metadata.csv as well",
                    path);
    if (!*found && image_scan_find_name(at, "metadata.parquet"))
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: expected metadata.jsonl or metadata.csv: convert it (pandas.read_parquet, "
                    "then to_json with orient=\"records\", lines=True)",
                    path);
    if (!*found) return SODA_OK;
    TRY(text_file_read(path, MAX_METADATA, &text, &bytes));
    const soda_status s = json ? image_items_add_jsonl(list, text, bytes, at->path, path)
                               : image_items_add_csv(list, text, bytes, at->path, path);
    free(text);
    TRY(s);
    return image_items_look_up(list, walk->folder->root, path);
}

/* Moves the items of a metadata file to the data set's list. */
static soda_status take_listed(image_folder *f, const image_items *list)
{
    for (int64_t i = 0; i < list->count; i++) TRY(image_items_add(&f->list, &list->items[i]));
    return SODA_OK;
}

/* ---- the walk ---- */

static soda_status scan_folder(image_scan_walk *walk, scanned_folder *at, int depth);

/* Whether a training run writes to this folder. */
static bool is_run(const scanned_folder *at)
{
    return at->locked && image_scan_find_name(at, "metrics.jsonl");
}

/* Counts a folder, whose path ends in "/". */
static soda_status leave_out_folder(image_scan_walk *walk, left_out_kind kind,
                                    const scanned_folder *at)
{
    char path[IMAGE_PATH_BYTES];
    snprintf(path, sizeof path, "%.*s", (int)strlen(at->path) - 1, at->path);
    return image_scan_leave_out(walk, kind, path);
}

/* Whether there is a folder for training beside one that is not, by their names. */
static bool is_held_out(const scanned_folder *above, const char *name)
{
    bool training = false;
    if (image_name_split(name) != SPLIT_HELD_OUT) return false;
    for (size_t i = 0; i < above->count && !training; i++)
        training = image_name_split(above->names[i]) == SPLIT_TRAINING;
    return training;
}

/* Says what is to be said of a folder with pictures in it. */
static soda_status note_folder(image_scan_walk *walk, const scanned_folder *at, const char *name)
{
    if (image_name_repeats(name)) TRY(leave_out_folder(walk, REPEATS_FOLDER, at));
    if (is_held_out(at->above, name)) TRY(leave_out_folder(walk, SPLIT_FOLDER, at));
    return SODA_OK;
}

static soda_status scan_subfolder(image_scan_walk *walk, const scanned_folder *above,
                                  const char *name, const struct stat *about, int depth)
{
    if (name[0] == '_' && name[1] == '_') return SODA_OK; /* __MACOSX */
    for (const scanned_folder *f = above; f; f = f->above)
        if (f->device == about->st_dev && f->inode == about->st_ino)
            return SODA_OK; /* a link back */
    if (depth == MAX_DEPTH)
        return FAIL(SODA_ERR_INPUT, "%s/%s%s: expected folders at most %d deep", walk->folder->root,
                    above->path, name, MAX_DEPTH);
    const int64_t before = walk->folder->list.count;
    scanned_folder *at = calloc(1, sizeof *at);
    if (!at) return FAIL(SODA_ERR_MEMORY, "out of memory for the list of pictures");
    *at = (scanned_folder){
        .above = above, .device = about->st_dev, .inode = about->st_ino, .listed = above->listed};
    soda_status s = SODA_OK;
    if (snprintf(at->path, IMAGE_PATH_BYTES, "%s%s/", above->path, name) >= IMAGE_PATH_BYTES)
        s = FAIL(SODA_ERR_INPUT, "%s/%s: the path is too long", walk->folder->root, above->path);
    else
        s = scan_folder(walk, at, depth);
    if (s == SODA_OK && walk->folder->list.count > before) s = note_folder(walk, at, name);
    free(at);
    return s;
}

/* Whether a metadata file of this folder or of one above lists the picture. */
static bool is_listed(const scanned_folder *at, const char *file)
{
    for (; at; at = at->above)
        if (at->listed && image_items_find(at->listed, file)) return true;
    return false;
}

static soda_status scan_file(image_scan_walk *walk, scanned_folder *at, const char *name)
{
    char file[IMAGE_PATH_BYTES];
    snprintf(file, sizeof file, "%s%s", at->path, name);
    if (is_listed(at, file)) return SODA_OK;
    if (image_name_is(name, NAME_PICTURE))
        return at->listed ? image_scan_leave_out(walk, LEFT_OUT_UNLISTED, file)
                          : image_captions_add(walk, at, name);
    if (image_name_is(name, NAME_OTHER)) {
        char **caption = NULL;
        if (!at->listed) TRY(image_captions_find(at, name, &caption));
        if (caption) at->used[caption - at->names] = true;
        return image_scan_leave_out(walk, LEFT_OUT_FORMAT, file);
    }
    return image_name_is(name, NAME_ARCHIVE) ? image_scan_leave_out(walk, LEFT_OUT_ARCHIVE, file)
                                             : SODA_OK;
}

/* A name behind which nothing is, and which is not a picture's. */
static soda_status note_broken(image_scan_walk *walk, const scanned_folder *at, const char *name,
                               const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0 || !S_ISLNK(about.st_mode)) return SODA_OK; /* deleted meanwhile */
    return image_scan_leave_out_entry(walk, LEFT_OUT_LINK, at, name);
}

static soda_status scan_entry(image_scan_walk *walk, scanned_folder *at, const char *name,
                              int depth)
{
    char path[IMAGE_PATH_BYTES];
    struct stat about;
    TRY(image_scan_path(walk, at, name, path));
    if (stat(path, &about) != 0) {
        if (!image_name_is(name, NAME_PICTURE)) return note_broken(walk, at, name, path);
        return at->listed ? scan_file(walk, at, name) : path_cannot_open(path);
    }
    if (S_ISDIR(about.st_mode) && is_run(at) && !strcmp(name, "samples"))
        return image_scan_leave_out(walk, LEFT_OUT_RUN, "samples");
    if (S_ISDIR(about.st_mode)) return scan_subfolder(walk, at, name, &about, depth + 1);
    if (S_ISREG(about.st_mode)) return scan_file(walk, at, name);
    if (!image_name_is(name, NAME_PICTURE)) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: not a regular file", path);
}

static soda_status scan_folder(image_scan_walk *walk, scanned_folder *at, int depth)
{
    char path[IMAGE_PATH_BYTES];
    image_items own = {0};
    bool has_metadata = false;
    soda_status s = SODA_OK;
    TRY(image_scan_path(walk, at, "", path));
    DIR *list = opendir(path);
    if (!list) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    s = read_names(walk, at, list);
    closedir(list);
    if (s != SODA_OK) goto done;
    if (at->above && is_run(at)) { /* what a run drew is no picture to learn from */
        TRY_TO(done, leave_out_folder(walk, LEFT_OUT_RUN, at));
        goto done;
    }
    TRY_TO(done, read_metadata(walk, at, &own, &has_metadata));
    if (has_metadata) at->listed = &own;
    TRY_TO(done, take_listed(walk->folder, &own));
    for (size_t i = 0; i < at->count; i++) TRY_TO(done, scan_entry(walk, at, at->names[i], depth));
    TRY_TO(done, image_captions_count_lone(walk, at));
done:
    at->listed = NULL;
    image_items_clear(&own);
    for (size_t i = 0; i < at->count; i++) free(at->names[i]);
    free(at->names);
    free(at->used);
    return s;
}

/* Two metadata files may list one picture. */
static soda_status check_twice(image_folder *f)
{
    image_items_sort(&f->list);
    for (int64_t i = 1; i < f->list.count; i++) {
        const image_item *item = &f->list.items[i];
        if (!strcmp(item[-1].file, item->file))
            return FAIL(SODA_ERR_INPUT, "%s/%s:%lld: %s is already listed in %s, line %lld",
                        f->root, item->caption_file, (long long)item->line, item->file,
                        item[-1].caption_file, (long long)item[-1].line);
    }
    return SODA_OK;
}

static soda_status count_empty_captions(image_scan_walk *walk)
{
    const image_folder *f = walk->folder;
    for (int64_t i = 0; i < f->list.count; i++)
        if (!f->list.items[i].text[0])
            TRY(image_scan_leave_out(walk, EMPTY_CAPTION, f->list.items[i].file));
    return SODA_OK;
}

soda_status image_scan(image_folder *folder)
{
    struct stat about;
    scanned_folder top = {0};
    image_scan_walk walk = {.folder = folder};
    if (stat(folder->root, &about) != 0)
        return FAIL(SODA_ERR_IO, "%s: cannot open: %s", folder->root, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return FAIL(SODA_ERR_INPUT, "%s: expected a folder of pictures, found a file",
                    folder->root);
    top.device = about.st_dev;
    top.inode = about.st_ino;
    TRY(scan_folder(&walk, &top, 0));
    TRY(check_twice(folder));
    TRY(count_empty_captions(&walk));
    if (walk.no_caption == 0) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: expected its caption in %s (%lld picture%s none)", walk.first,
                walk.hint, (long long)walk.no_caption, walk.no_caption == 1 ? " has" : "s have");
}
