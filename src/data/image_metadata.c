/* metadata.jsonl and metadata.csv: see image_items.h. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "data/image_items.h"

enum { PATH_SIZE = 4096 };

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

/* Adds picture `name` of the folder; *is_below is false, and nothing added, if it leads out. */
static soda_status add(image_items *list, const char *folder, const char *path, const char *name,
                       const image_item *item, bool *is_below)
{
    char file[PATH_SIZE], caption[PATH_SIZE];
    const char *slash = strrchr(path, '/');
    while (name[0] == '.' && (name[1] == '/' || name[1] == '\\')) name += 2;
    const int used = snprintf(file, sizeof file, "%s%s", folder, name);
    const int more = snprintf(caption, sizeof caption, "%s%s", folder, slash ? slash + 1 : path);
    if (used >= PATH_SIZE || more >= PATH_SIZE)
        return FAIL(SODA_ERR_INPUT, "%s:%lld: file_name: the path is too long", path,
                    (long long)item->line);
    for (char *c = file; *c; c++)
        if (*c == '\\') *c = '/'; /* as Windows writes it */
    *is_below = stays_below(file + strlen(folder));
    if (!*is_below) return SODA_OK;
    image_item added = *item;
    added.file = file;
    added.caption_file = caption;
    return image_items_add(list, &added);
}

/* ---- jsonl ---- */

/* A line without file_name or text: says which keys it has. */
static soda_status refuse_keys(const soda_json *json)
{
    char found[160] = "none";
    size_t used = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json->object, key, value)
    {
        if (used < sizeof found)
            used +=
                (size_t)snprintf(found + used, sizeof found - used, "%s%s", used ? ", " : "", key);
    }
    if (used >= sizeof found) memcpy(found + sizeof found - 4, "...", 4);
    return FAIL(SODA_ERR_INPUT, "%s:%lld: expected the keys file_name and text, found %s",
                json->file, (long long)json->line, found);
}

static soda_status add_line(image_items *list, const char *text, size_t bytes, const char *folder,
                            const char *path, int64_t line)
{
    const char *name, *caption, *class_text;
    bool is_below;
    soda_json json = {0};
    soda_status s = SODA_OK;
    TRY(soda_json_parse_line(text, bytes, path, line, &json));
    if (!soda_json_has(&json, "file_name") || !soda_json_has(&json, "text"))
        TRY_TO(done, refuse_keys(&json));
    TRY_TO(done, soda_json_require(&json, "file_name")); /* not null */
    TRY_TO(done, soda_json_require(&json, "text"));
    TRY_TO(done, soda_json_string(&json, "file_name", NULL, &name));
    TRY_TO(done, soda_json_string(&json, "text", NULL, &caption));
    TRY_TO(done, soda_json_string(&json, "class_text", NULL, &class_text));
    const image_item item = {
        .text = (char *)caption, .class_text = (char *)class_text, .line = line};
    TRY_TO(done, add(list, folder, path, name, &item, &is_below));
    if (!is_below) s = soda_json_refuse(&json, "file_name", "a path below the folder");
done:
    soda_json_free(&json);
    return s;
}

soda_status image_items_add_jsonl(image_items *list, const char *text, size_t bytes,
                                  const char *folder, const char *path)
{
    const char *end = text + bytes;
    int64_t line = 1;
    for (const char *at = text, *next; at < end; at = next + 1, line++) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (!next) next = end;
        size_t blank = 0;
        while (at + blank < next && isspace((unsigned char)at[blank])) blank++;
        if (at + blank < next && at[blank] == '[')
            return FAIL(SODA_ERR_INPUT,
                        "%s:%lld: expected a JSON object on each line, found the start of a list",
                        path, (long long)line);
        if (at + blank < next) TRY(add_line(list, at, (size_t)(next - at), folder, path, line));
    }
    return SODA_OK;
}

/* ---- csv ---- */

enum { FILE_NAME, TEXT, CLASS_TEXT, COLUMNS };
static const char *const column_names[COLUMNS] = {"file_name", "text", "class_text"};

typedef struct {
    const char *at, *end, *path;
    int64_t line;
    char *field; /* the last one read: within a buffer as large as the text */
    size_t bytes;
} csv_reader;

/* Reads one field; *more is true if a comma follows. */
static soda_status read_field(csv_reader *r, bool *more)
{
    const int64_t first = r->line;
    bool quoted = r->at < r->end && *r->at == '"';
    r->bytes = 0;
    if (quoted) r->at++;
    while (r->at < r->end) {
        const char c = *r->at++;
        r->line += c == '\n';
        if (quoted && c == '"') {
            if (r->at < r->end && *r->at == '"')
                r->field[r->bytes++] = *r->at++;
            else
                quoted = false;
        } else if (!quoted && (c == ',' || c == '\n')) {
            r->field[r->bytes] = '\0';
            *more = c == ',';
            return SODA_OK;
        } else {
            r->field[r->bytes++] = c;
        }
    }
    r->field[r->bytes] = '\0';
    *more = false;
    if (!quoted) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s:%lld: a quoted field has no closing quotation mark", r->path,
                (long long)first);
}

/* Which columns the first row names; the first of equal names counts. */
static soda_status read_names(csv_reader *r, int64_t column[COLUMNS], int64_t *columns)
{
    char shown[80];
    const char *line = r->at;
    bool more = true;
    for (int c = 0; c < COLUMNS; c++) column[c] = -1;
    for (*columns = 0; more; ++*columns) {
        TRY(read_field(r, &more));
        for (int c = 0; c < COLUMNS; c++)
            if (column[c] < 0 && !strcmp(r->field, column_names[c])) column[c] = *columns;
    }
    snprintf(shown, sizeof shown, "%.*s", (int)strcspn(line, "\n"), line);
    if (column[FILE_NAME] >= 0 && column[TEXT] >= 0) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "%s:1: expected the columns file_name and text, separated by commas, found %s",
                r->path, shown);
}

/* Reads one row into `value`, for free(). */
static soda_status read_row(csv_reader *r, const int64_t column[COLUMNS], int64_t columns,
                            char *value[COLUMNS])
{
    const int64_t line = r->line;
    bool more = true;
    for (int64_t i = 0; more; i++) {
        TRY(read_field(r, &more));
        if (i >= columns)
            return FAIL(SODA_ERR_INPUT,
                        "%s:%lld: expected %lld fields, found more: put text that contains commas "
                        "in quotation marks",
                        r->path, (long long)line, (long long)columns);
        for (int c = 0; c < COLUMNS; c++) {
            if (column[c] != i) continue;
            value[c] = strdup(r->field);
            if (!value[c])
                return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the list of pictures", r->path);
        }
    }
    return SODA_OK;
}

static soda_status add_row(image_items *list, csv_reader *r, const char *folder,
                           const int64_t column[COLUMNS], int64_t columns)
{
    char *value[COLUMNS] = {0};
    const int64_t line = r->line;
    bool is_below = true;
    soda_status s = SODA_OK;
    TRY_TO(done, read_row(r, column, columns, value));
    const image_item item = {
        .text = value[TEXT] ? value[TEXT] : "",
        .class_text = value[CLASS_TEXT] && value[CLASS_TEXT][0] ? value[CLASS_TEXT] : NULL,
        .line = line};
    const char *name = value[FILE_NAME] ? value[FILE_NAME] : "";
    TRY_TO(done, add(list, folder, r->path, name, &item, &is_below));
    if (!is_below)
        s = FAIL(SODA_ERR_INPUT,
                 "%s:%lld: file_name: expected a path below the folder, found %.80s", r->path,
                 (long long)line, name[0] ? name : "nothing");
done:
    for (int c = 0; c < COLUMNS; c++) free(value[c]);
    return s;
}

soda_status image_items_add_csv(image_items *list, const char *text, size_t bytes,
                                const char *folder, const char *path)
{
    csv_reader r = {.at = text, .end = text + bytes, .path = path, .line = 1};
    int64_t column[COLUMNS], columns;
    soda_status s = SODA_OK;
    while (r.at < r.end && *r.at == '\n') r.at++, r.line++;
    if (r.at == r.end) return SODA_OK;
    r.field = malloc(bytes + 1);
    if (!r.field) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its text", path);
    TRY_TO(done, read_names(&r, column, &columns));
    while (r.at < r.end) {
        if (*r.at == '\n')
            r.at++, r.line++; /* an empty line */
        else
            TRY_TO(done, add_row(list, &r, folder, column, columns));
    }
done:
    free(r.field);
    return s;
}
