/* json.h: JSON from files that may be wrong. Parsing is jansson's; this adds limits, and messages
 * that name file and key, what was expected and what was found. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* An object as messages name it. Copied freely: it owns nothing. */
typedef struct {
    const char *file;     /* the name of the file, for messages */
    int64_t line;         /* of a file with one object per line; else 0, and not in messages */
    const char *within;   /* the key this object stands under, "" for the root of the file */
    const json_t *object; /* borrowed from the root */
} soda_json;

/* Parses the text file `path` (core/text_file.h) of at most 64 MiB, whose root must be an object;
 * keys must not repeat. json->file is `path` itself (not copied). Free with soda_json_free.
 * SODA_ERR_INPUT names file, line and column; SODA_ERR_IO says why the file cannot be read. */
soda_status soda_json_load(const char *path, soda_json *json);

/* The same from `bytes` of memory that messages call `file`.
 *
 * What Python writes is read, so that a key that nobody asks for cannot stop a program: Infinity
 * and numbers beyond double are 1.7e308, an integer beyond 64 bits is a number that is no integer,
 * NaN and a string with \u0000 are values that every getter refuses. */
soda_status soda_json_parse(const char *text, size_t bytes, const char *file, soda_json *json);

/* The same for line `line` of a file with one object per line; messages call it FILE:LINE. */
soda_status soda_json_parse_line(const char *text, size_t bytes, const char *file, int64_t line,
                                 soda_json *json);

/* Frees what load or parse returned; every object and string taken from it ends. */
void soda_json_free(soda_json *json);

/* The text of an array or object, without spaces, for free() (what json_dumps returns is not); keys
 * in the order they were set. */
soda_status soda_json_dump(const json_t *value, const char *file, char **text);

/* Getters. An absent key, or one that is null, gives `missing`, but a truth value that is null is
 * false, as in Python; a value of another type, or an integer beyond 64 bits, is SODA_ERR_INPUT. A
 * string lives as long as the root. */
soda_status soda_json_int(const soda_json *json, const char *key, int64_t missing, int64_t *value);
soda_status soda_json_double(const soda_json *json, const char *key, double missing, double *value);
soda_status soda_json_bool(const soda_json *json, const char *key, bool missing, bool *value);
soda_status soda_json_string(const soda_json *json, const char *key, const char *missing,
                             const char **value);

/* Lists of at most `max` entries; *count is how many there are, 0 when absent or null. One number
 * or string alone is a list of one (diffusers writes both): see soda_json_is_list. */
soda_status soda_json_ints(const soda_json *json, const char *key, int64_t *values, int max,
                           int *count);
soda_status soda_json_strings(const soda_json *json, const char *key, const char **values, int max,
                              int *count);

/* The object under `key`; child->object is NULL when it is absent or null. `key` must outlive it.
 */
soda_status soda_json_child(const soda_json *json, const char *key, soda_json *child);

/* SODA_ERR_INPUT unless `key` is there and not null. */
soda_status soda_json_require(const soda_json *json, const char *key);

/* For the keys where these cases differ. */
bool soda_json_has(const soda_json *json, const char *key);     /* there, maybe null */
bool soda_json_is_null(const soda_json *json, const char *key); /* there, and null */
bool soda_json_is_list(const soda_json *json, const char *key);

/* Puts `value` under `key`, in place of what is there; takes the reference also when it fails.
 * SODA_ERR_MEMORY, also for a value that is NULL for want of memory. */
soda_status soda_json_put(const soda_json *json, const char *key, json_t *value);

/* Records that `key` holds the wrong thing: "FILE: KEY: expected EXPECTED, found VALUE". */
soda_status soda_json_refuse(const soda_json *json, const char *key, const char *expected);
