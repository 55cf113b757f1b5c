#include "core/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

/* vocab.json of CLIP has 1 MiB, the index of a large model less than 10. */
enum { MAX_FILE_BYTES = 64 << 20 };

/* jansson calls a failed allocation a syntax error or ignores it, so its allocations come through
 * here. */
static _Thread_local bool no_memory;

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) no_memory = true;
    return memory;
}

static void set_allocator(void) { json_set_alloc_funcs(allocate, free); }

static void watch_memory(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
    no_memory = false;
}

/* Python's json writes infinities, and diffusers does (lambda_min_clipped): a copy of the text that
 * has a number as long as the word in its place, NULL if the word does not occur. */
static char *without_infinity(const char *text, size_t bytes)
{
    static const char word[] = "Infinity", number[] = "1.7e308 ";
    enum { LENGTH = sizeof word - 1 };
    _Static_assert(sizeof word == sizeof number, "the text keeps its length");
    bool in_string = false;
    if (!memmem(text, bytes, word, LENGTH)) return NULL;
    char *copy = allocate(bytes);
    if (!copy) return NULL;
    memcpy(copy, text, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"') in_string = !in_string;
        if (text[i] == '\\' && in_string) i++;
        if (!in_string && bytes - i >= LENGTH && memcmp(text + i, word, LENGTH) == 0)
            memcpy(copy + i, number, LENGTH);
    }
    return copy;
}

soda_status soda_json_parse(const char *text, size_t bytes, const char *file, soda_json *json)
{
    json_error_t error = {.text = ""};
    watch_memory();
    char *finite = without_infinity(text, bytes);
    json_t *root = json_loadb(finite ? finite : text, bytes, JSON_REJECT_DUPLICATES, &error);
    free(finite);
    if (no_memory) {
        json_decref(root); /* a string may have lost its end */
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory while parsing JSON", file);
    }
    if (!root)
        return FAIL(SODA_ERR_INPUT, "%s:%d:%d: not valid JSON: %s", file, error.line, error.column,
                    error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return FAIL(SODA_ERR_INPUT, "%s: expected a JSON object, found an array", file);
    }
    *json = (soda_json){.file = file, .within = "", .object = root};
    return SODA_OK;
}

soda_status soda_json_load(const char *path, soda_json *json)
{
    void *text;
    size_t bytes;
    TRY(file_read(path, MAX_FILE_BYTES, &text, &bytes));
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
    watch_memory();
    *text = json_dumps(value, JSON_COMPACT);
    if (*text && !no_memory) return SODA_OK;
    free(*text);
    *text = NULL;
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory while writing JSON", file);
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
    char place[32] = "", value[96] = "nothing";
    if (index >= 0) snprintf(place, sizeof place, "[%d]", index);
    if (found) {
        const size_t used = json_dumpb(found, value, sizeof value - 1, JSON_ENCODE_ANY);
        if (used && used < sizeof value)
            value[used] = '\0';
        else /* too long to show */
            snprintf(value, sizeof value, "%s", names[json_typeof(found)]);
    }
    return FAIL(SODA_ERR_INPUT, "%s: %s%s%s%s: expected %s, found %s", json->file, json->within,
                json->within[0] ? "." : "", key, place, expected, value);
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
    const json_t *found = value_of(json, key);
    if (found && !json_is_boolean(found)) return refuse(json, key, -1, found, "true or false");
    *value = found ? json_is_true(found) : missing;
    return SODA_OK;
}

soda_status soda_json_string(const soda_json *json, const char *key, const char *missing,
                             const char **value)
{
    const json_t *found = value_of(json, key);
    if (found && !json_is_string(found)) return refuse(json, key, -1, found, "a string");
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

soda_status soda_json_doubles(const soda_json *json, const char *key, double *values, int max,
                              int *count)
{
    const json_t *list;
    TRY(count_entries(json, key, max, &list, count));
    for (int i = 0; i < *count; i++) {
        const json_t *found = entry(list, i);
        if (!json_is_number(found))
            return refuse(json, key, json_is_array(list) ? i : -1, found, "a number");
        values[i] = json_number_value(found);
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
        if (!json_is_string(found))
            return refuse(json, key, json_is_array(list) ? i : -1, found, "a string");
        values[i] = json_string_value(found);
    }
    return SODA_OK;
}

soda_status soda_json_child(const soda_json *json, const char *key, soda_json *child)
{
    const json_t *found = value_of(json, key);
    if (found && !json_is_object(found)) return refuse(json, key, -1, found, "an object");
    *child = (soda_json){.file = json->file, .within = key, .object = found};
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
