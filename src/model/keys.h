/* keys.h: checked reads of one key each, shared by the readers of config.json. */
#pragma once

#include "core/json.h"
#include "core/status.h"

/* An integer from `least` to `most`; absent or null: `missing`. */
soda_status keys_int(const soda_json *json, const char *key, int64_t missing, int64_t least,
                     int64_t most, int64_t *value);

/* As many integers as there are levels, or one that stands for all. */
soda_status keys_per_level(const soda_json *json, const char *key, int64_t missing, int64_t most,
                           int levels, int64_t *values);

/* A finite number above zero. */
soda_status keys_positive(const soda_json *json, const char *key, double missing, double *value);

/* Refusals of features that soda does not have: the key is absent, null, or what is said. */
soda_status keys_want_null(const soda_json *json, const char *key);
soda_status keys_want_false(const soda_json *json, const char *key); /* or a list of false */
soda_status keys_want_number(const soda_json *json, const char *key, double value);
soda_status keys_want_string(const soda_json *json, const char *key, const char *text);
