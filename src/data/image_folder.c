#include "data/image_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"

enum { PATH_SIZE = 4096, MAX_METADATA = 1 << 30, MAX_CAPTION = 1 << 20 };

static const char metadata_name[] = "metadata.jsonl";

static soda_status no_memory(const char *what)
{
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the list of pictures", what);
}

static soda_status add_item(image_folder *f, const char *file, const char *text,
                            const char *class_text, int64_t line)
{
    if (f->count == f->room) {
        const int64_t room = f->room ? 2 * f->room : 64;
        image_item *items = realloc(f->items, (size_t)room * sizeof *items);
        if (!items) return no_memory(file);
        f->items = items;
        f->room = room;
    }
    image_item *item = &f->items[f->count];
    *item = (image_item){.file = strdup(file), .text = strdup(text), .line = line};
    if (class_text) item->class_text = strdup(class_text);
    f->count++;
    return item->file && item->text && (item->class_text || !class_text) ? SODA_OK
                                                                         : no_memory(file);
}

static int compare_items(const void *a, const void *b)
{
    const image_item *x = a, *y = b;
    const int order = strcmp(x->file, y->file);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static void sort_items(image_folder *f)
{
    if (f->count > 1) qsort(f->items, (size_t)f->count, sizeof *f->items, compare_items);
}

/* Whether every part of the path is a name. */
static bool stays_below(const char *path)
{
    for (const char *part = path;; part++) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && !memcmp(part, "..", 2)))
            return false;
        part += length;
        if (!*part) return true;
    }
}

/* One line, which messages call FILE:LINE. */
static soda_status parse_line(const char *text, size_t bytes, const char *file, int64_t line,
                              image_folder *f)
{
    char at[PATH_SIZE];
    const char *name, *caption, *class_text;
    soda_json json = {0};
    soda_status s = SODA_OK;
    snprintf(at, sizeof at, "%s:%lld", file, (long long)line);
    TRY(soda_json_parse(text, bytes, at, &json));
    TRY_TO(done, soda_json_require(&json, "file_name"));
    TRY_TO(done, soda_json_require(&json, "text"));
    TRY_TO(done, soda_json_string(&json, "file_name", NULL, &name));
    TRY_TO(done, soda_json_string(&json, "text", NULL, &caption));
    TRY_TO(done, soda_json_string(&json, "class_text", NULL, &class_text));
    if (!stays_below(name))
        s = soda_json_refuse(&json, "file_name", "a path below the folder");
    else
        s = add_item(f, name, caption, class_text, line);
done:
    soda_json_free(&json);
    return s;
}

soda_status image_folder_parse(const char *text, size_t bytes, const char *file, image_folder *f)
{
    const char *end = text + bytes;
    int64_t line = 1;
    for (const char *at = text, *next; at < end; at = next + 1, line++) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (!next) next = end;
        size_t blank = 0;
        while (at + blank < next && isspace((unsigned char)at[blank])) blank++;
        if (at + blank < next) TRY(parse_line(at, (size_t)(next - at), file, line, f));
    }
    sort_items(f);
    for (int64_t i = 1; i < f->count; i++)
        if (!strcmp(f->items[i - 1].file, f->items[i].file))
            return FAIL(SODA_ERR_INPUT, "%s:%lld: %s is already listed in line %lld", file,
                        (long long)f->items[i].line, f->items[i].file,
                        (long long)f->items[i - 1].line);
    return SODA_OK;
}

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name &&
           (!strcasecmp(dot, ".png") || !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") ||
            !strcasecmp(dot, ".webp"));
}

soda_status image_folder_path(const image_folder *f, int64_t index, char *path, size_t size)
{
    const int used = snprintf(path, size, "%s/%s", f->root, f->items[index].file);
    if (used >= 0 && (size_t)used < size) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: %s: the path is too long", f->root, f->items[index].file);
}

/* Length of the UTF-8 sequence at s, whose last byte a zero follows; 0 if it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s)
{
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    const bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    const bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

/* The caption of picture `name`, for free(). */
static soda_status read_caption(const image_folder *f, const char *name, char **caption)
{
    char path[PATH_SIZE];
    void *data;
    size_t bytes;
    const int stem = (int)(strrchr(name, '.') - name);
    if (snprintf(path, sizeof path, "%s/%.*s.txt", f->root, stem, name) >= (int)sizeof path)
        return FAIL(SODA_ERR_INPUT, "%s/%s: the path is too long", f->root, name);
    struct stat about;
    if (stat(path, &about) != 0 && errno == ENOENT)
        return FAIL(SODA_ERR_INPUT, "%s/%s: expected its caption in %.*s.txt or %s, found neither",
                    f->root, name, stem, name, metadata_name);
    TRY(file_read(path, MAX_CAPTION, &data, &bytes));
    char *text = data;
    size_t length;
    for (size_t i = 0; i < bytes; i += length) {
        length = text[i] ? utf8_length((const unsigned char *)text + i) : 0;
        if (length) continue;
        free(data);
        return FAIL(SODA_ERR_INPUT, "%s: byte %zu: expected text in UTF-8", path, i);
    }
    size_t first = bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* byte order mark */
    while (bytes > first && isspace((unsigned char)text[bytes - 1])) bytes--;
    while (first < bytes && isspace((unsigned char)text[first])) first++;
    memmove(text, text + first, bytes - first);
    text[bytes - first] = '\0';
    *caption = text;
    return SODA_OK;
}

static soda_status add_captioned(image_folder *f, const char *name)
{
    char *caption;
    TRY(read_caption(f, name, &caption));
    const soda_status s = add_item(f, name, caption, NULL, 0);
    free(caption);
    return s;
}

static int compare_name(const void *name, const void *item)
{
    return strcmp(name, ((const image_item *)item)->file);
}

static bool is_listed(const image_folder *f, const char *name)
{
    return f->count && bsearch(name, f->items, (size_t)f->count, sizeof *f->items, compare_name);
}

/* Adds the pictures of the folder, or, if metadata.jsonl lists some, counts the others. */
static soda_status scan(image_folder *f, bool listed)
{
    soda_status s = SODA_OK;
    int64_t left_out = 0;
    DIR *folder = opendir(f->root);
    if (!folder) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", f->root, strerror(errno));
    for (const struct dirent *e; s == SODA_OK && (e = readdir(folder)) != NULL;) {
        if (!is_picture(e->d_name)) continue;
        if (!listed)
            s = add_captioned(f, e->d_name);
        else if (!is_listed(f, e->d_name))
            left_out++;
    }
    closedir(folder);
    if (left_out)
        log_warning("%s: %lld pictures are not listed in %s and are left out", f->root,
                    (long long)left_out, metadata_name);
    if (!listed) sort_items(f);
    return s;
}

static soda_status read_metadata(const char *path, image_folder *f)
{
    void *text;
    size_t bytes;
    TRY(file_read(path, MAX_METADATA, &text, &bytes));
    const soda_status s = image_folder_parse(text, bytes, path, f);
    free(text);
    return s;
}

/* Every listed picture must be a file. */
static soda_status look_up(const image_folder *f, const char *metadata)
{
    char path[PATH_SIZE];
    struct stat about;
    for (int64_t i = 0; i < f->count; i++) {
        const long long line = f->items[i].line;
        TRY(image_folder_path(f, i, path, sizeof path));
        if (stat(path, &about) != 0)
            return FAIL(SODA_ERR_INPUT, "%s:%lld: file_name: %s: %s", metadata, line, path,
                        strerror(errno));
        if (!S_ISREG(about.st_mode))
            return FAIL(SODA_ERR_INPUT, "%s:%lld: file_name: %s: not a regular file", metadata,
                        line, path);
    }
    return SODA_OK;
}

static soda_status list(image_folder *f)
{
    char metadata[PATH_SIZE];
    struct stat about;
    if (snprintf(metadata, sizeof metadata, "%s/%s", f->root, metadata_name) >=
        (int)sizeof metadata)
        return FAIL(SODA_ERR_INPUT, "%s: the path is too long", f->root);
    const bool listed = stat(metadata, &about) == 0;
    if (listed) {
        TRY(read_metadata(metadata, f));
        TRY(look_up(f, metadata));
    }
    TRY(scan(f, listed));
    if (f->count) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "%s: expected pictures (%s, or *.png, *.jpg, *.jpeg, *.webp), "
                "found none",
                f->root, metadata_name);
}

soda_status image_folder_open(const char *path, image_folder **folder)
{
    image_folder *f = *folder = calloc(1, sizeof *f);
    if (f) f->root = strdup(path);
    soda_status s = f && f->root ? list(f) : no_memory(path);
    if (s == SODA_OK) return SODA_OK;
    image_folder_close(f);
    *folder = NULL;
    return s;
}

void image_folder_clear(image_folder *f)
{
    for (int64_t i = 0; i < f->count; i++) {
        free(f->items[i].file);
        free(f->items[i].text);
        free(f->items[i].class_text);
    }
    free(f->items);
    *f = (image_folder){.root = f->root};
}

void image_folder_close(image_folder *f)
{
    if (!f) return;
    image_folder_clear(f);
    free(f->root);
    free(f);
}
