#include "core/json.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_kind.h"
#include "core/loose_json.h"
#include "core/text_file.h"

enum {
    MAX_FILE_BYTES = 64 << 20, /* vocab.json of CLIP has 1 MiB, the index of a large model 10 */
    PLACE_SIZE = 4160,         /* a path, a colon, a line number */
};

/* ---- memory ----
 *
 * jansson calls a failed allocation a syntax error or ignores it, and when the text of a token
 * cannot grow it stops the program or reads behind it (2.14, lex_scan_string). So its allocations
 * come through here: the first that fails while it parses leaves it by longjmp, and what it had is
 * freed from a ring. */

typedef struct piece {
    struct piece *next, *previous; /* 16 bytes: what follows is aligned for any type */
} piece;

static _Thread_local piece ring; /* what the running parse holds */
static _Thread_local jmp_buf *way_out;

static void *allocate(size_t bytes)
{
    piece *p = malloc(sizeof *p + bytes);
    if (!p && way_out) longjmp(*way_out, 1);
    if (!p) return NULL;
    p->next = p->previous = p;
    if (way_out) {
        p->previous = &ring;
        p->next = ring.next;
        ring.next->previous = p;
        ring.next = p;
    }
    return p + 1;
}

static void release(void *memory)
{
    if (!memory) return;
    piece *p = (piece *)memory - 1;
    p->next->previous = p->previous;
    p->previous->next = p->next;
    free(p);
}

/* Before main: nothing may be allocated one way and freed the other. */
__attribute__((constructor)) static void set_allocator(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* Ends the parse: its memory is freed, or left to whoever frees the root, on any thread. */
static void end_parse(bool failed)
{
    way_out = NULL;
    while (ring.next != &ring) {
        piece *p = ring.next;
        ring.next = p->next;
        p->next = p->previous = p;
        if (failed) free(p);
    }
}

/* json_loadb; false if memory ran out. */
static bool load(const char *text, size_t bytes, json_t **root, json_error_t *error)
{
    jmp_buf out;
    ring.next = ring.previous = &ring;
    if (setjmp(out) != 0) {
        end_parse(true);
        return false;
    }
    way_out = &out;
    *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, error);
    end_parse(false);
    return true;
}

/* ---- files ---- */

/* "FILE" or "FILE:LINE". */
static const char *place(const soda_json *json, char *text, size_t size)
{
    if (json->line == 0) return json->file;
    snprintf(text, size, "%s:%lld", json->file, (long long)json->line);
    return text;
}

/* Records where and why jansson stopped. */
static soda_status refuse_text(const soda_json *json, const char *text, size_t bytes,
                               const json_error_t *error)
{
    char at[PLACE_SIZE];
    const char *name = place(json, at, sizeof at);
    size_t blank = 0;
    while (blank < bytes && text[blank] && strchr(" \t\r\n", text[blank])) blank++;
    if (blank == bytes || file_kind(text, bytes))
        return FAIL(SODA_ERR_INPUT, "%s: expected JSON, found %s", name,
                    blank == bytes ? "an empty file" : file_kind(text, bytes));
    if (json->line)
        return FAIL(SODA_ERR_INPUT, "%s: not valid JSON at column %d: %s", name, error->column,
                    error->text);
    return FAIL(SODA_ERR_INPUT, "%s:%d: not valid JSON at column %d: %s", name, error->line,
                error->column, error->text);
}

soda_status soda_json_parse_line(const char *text, size_t bytes, const char *file, int64_t line,
                                 soda_json *json)
{
    const soda_json parsed = {.file = file, .line = line, .within = ""};
    json_error_t error = {.text = ""};
    json_t *root = NULL;
    char *loose, at[PLACE_SIZE];
    TRY(loose_json(text, bytes, file, &loose));
    const bool enough = load(loose ? loose : text, bytes, &root, &error);
    free(loose);
    if (!enough) return FAIL(SODA_ERR_MEMORY, "%s: out of memory while parsing JSON", file);
    if (!root) return refuse_text(&parsed, text, bytes, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return FAIL(SODA_ERR_INPUT, "%s: expected a JSON object, found an array",
                    place(&parsed, at, sizeof at));
    }
    *json = parsed;
    json->object = root;
    return SODA_OK;
}

soda_status soda_json_parse(const char *text, size_t bytes, const char *file, soda_json *json)
{
    return soda_json_parse_line(text, bytes, file, 0, json);
}

soda_status soda_json_load(const char *path, soda_json *json)
{
    char *text;
    size_t bytes;
    TRY(text_file_read(path, MAX_FILE_BYTES, &text, &bytes));
    const soda_status s = soda_json_parse(text, bytes, path, json);
    free(text);
    return s;
}

void soda_json_free(soda_json *json)
{
    json_decref((json_t *)json->object);
    *json = (soda_json){0};
}

soda_status soda_json_dump(const json_t *value, const char *file, char **text)
{
    const size_t bytes = json_dumpb(value, NULL, 0, JSON_COMPACT);
    *text = bytes ? malloc(bytes + 1) : NULL;
    if (*text && json_dumpb(value, *text, bytes, JSON_COMPACT) == bytes) {
        (*text)[bytes] = '\0';
        return SODA_OK;
    }
    free(*text);
    *text = NULL;
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory while writing JSON", file);
}

static bool is_nan(const json_t *value)
{
    return json_is_string(value) && !strcmp(json_string_value(value), LOOSE_JSON_NAN);
}

/* Whether it is a string that C can hold. */
static bool is_text(const json_t *value)
{
    return json_is_string(value) && !is_nan(value) &&
           strlen(json_string_value(value)) == json_string_length(value);
}

/* "FILE: KEY: expected E, found VALUE", for entry `index` of a list unless it is negative. */
static soda_status refuse(const soda_json *json, const char *key, int index, const json_t *found,
                          const char *expected)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "a list",  [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number", [JSON_TRUE] = "a bool",
        [JSON_FALSE] = "a bool",       [JSON_NULL] = "null",
    };
    char entry[32] = "", value[96] = "nothing", at[PLACE_SIZE];
    if (index >= 0) snprintf(entry, sizeof entry, "[%d]", index);
    if (is_nan(found)) {
        snprintf(value, sizeof value, "NaN");
    } else if (found) {
        const size_t used = json_dumpb(found, value, sizeof value - 1, JSON_ENCODE_ANY);
        if (used && used < sizeof value)
            value[used] = '\0';
        else /* too long to show */
            snprintf(value, sizeof value, "%s", names[json_typeof(found)]);
    }
    return FAIL(SODA_ERR_INPUT, "%s: %s%s%s%s: expected %s, found %s", place(json, at, sizeof at),
                json->within, json->within[0] ? "." : "", key, entry, expected, value);
}

/* The value under `key`, NULL when it is absent or null. */
static const json_t *value_of(const soda_json *json, const char *key)
{
    const json_t *value = json_object_get(json->object, key);
    return json_is_null(value) ? NULL : value;
}

soda_status soda_json_int(const soda_json *json, const char *key, int64_t missing, int64_t *value)
{
    const json_t *found = value_of(json, key);
    if (found && !json_is_integer(found)) return refuse(json, key, -1, found, "an integer");
    *value = found ? (int64_t)json_integer_value(found) : missing;
    return SODA_OK;
}

soda_status soda_json_double(const soda_json *json, const char *key, double missing, double *value)
{
    const json_t *found = value_of(json, key);
    if (found && !json_is_number(found)) return refuse(json, key, -1, found, "a number");
    *value = found ? json_number_value(found) : missing;
    return SODA_OK;
}

soda_status soda_json_bool(const soda_json *json, const char *key, bool missing, bool *value)
{
    const json_t *found = json_object_get(json->object, key);
    if (found && !json_is_boolean(found) && !json_is_null(found))
        return refuse(json, key, -1, found, "true or false");
    *value = found ? json_is_true(found) : missing;
    return SODA_OK;
}

soda_status soda_json_string(const soda_json *json, const char *key, const char *missing,
                             const char **value)
{
    const json_t *found = value_of(json, key);
    if (found && !is_text(found)) return refuse(json, key, -1, found, "a string");
    *value = found ? json_string_value(found) : missing;
    return SODA_OK;
}

/* Entry `i` of a list that may be written as one value alone. */
static const json_t *entry(const json_t *list, int i)
{
    return json_is_array(list) ? json_array_get(list, (size_t)i) : list;
}

/* Counts the entries under `key`, at most `max`. */
static soda_status count_entries(const soda_json *json, const char *key, int max,
                                 const json_t **list, int *count)
{
    *list = value_of(json, key);
    const size_t found = json_is_array(*list) ? json_array_size(*list) : *list != NULL;
    if (found > (size_t)max) {
        char expected[64];
        snprintf(expected, sizeof expected, "at most %d entries", max);
        return refuse(json, key, -1, *list, expected);
    }
    *count = (int)found;
    return SODA_OK;
}

soda_status soda_json_ints(const soda_json *json, const char *key, int64_t *values, int max,
                           int *count)
{
    const json_t *list;
    TRY(count_entries(json, key, max, &list, count));
    for (int i = 0; i < *count; i++) {
        const json_t *found = entry(list, i);
        if (!json_is_integer(found))
            return refuse(json, key, json_is_array(list) ? i : -1, found, "an integer");
        values[i] = (int64_t)json_integer_value(found);
    }
    return SODA_OK;
}

soda_status soda_json_strings(const soda_json *json, const char *key, const char **values, int max,
                              int *count)
{
    const json_t *list;
    TRY(count_entries(json, key, max, &list, count));
    for (int i = 0; i < *count; i++) {
        const json_t *found = entry(list, i);
        if (!is_text(found))
            return refuse(json, key, json_is_array(list) ? i : -1, found, "a string");
        values[i] = json_string_value(found);
    }
    return SODA_OK;
}

soda_status soda_json_child(const soda_json *json, const char *key, soda_json *child)
{
    const json_t *found = value_of(json, key);
    if (found && !json_is_object(found)) return refuse(json, key, -1, found, "an object");
    *child = (soda_json){.file = json->file, .line = json->line, .within = key, .object = found};
    return SODA_OK;
}

soda_status soda_json_require(const soda_json *json, const char *key)
{
    if (value_of(json, key)) return SODA_OK;
    return soda_json_refuse(json, key, "a value");
}

bool soda_json_has(const soda_json *json, const char *key)
{
    return json_object_get(json->object, key) != NULL;
}

bool soda_json_is_null(const soda_json *json, const char *key)
{
    return json_is_null(json_object_get(json->object, key));
}

bool soda_json_is_list(const soda_json *json, const char *key)
{
    return json_is_array(json_object_get(json->object, key));
}

soda_status soda_json_put(const soda_json *json, const char *key, json_t *value)
{
    if (json_object_set_new((json_t *)json->object, key, value) == 0) return SODA_OK;
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory", json->file);
}

soda_status soda_json_refuse(const soda_json *json, const char *key, const char *expected)
{
    return refuse(json, key, -1, json_object_get(json->object, key), expected);
}
