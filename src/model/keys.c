#include "model/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

soda_status keys_int(const soda_json *json, const char *key, int64_t missing, int64_t least,
                     int64_t most, int64_t *value)
{
    TRY(soda_json_int(json, key, missing, value));
    if (*value >= least && *value <= most) return SODA_OK;
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)least,
             (long long)most);
    return soda_json_refuse(json, key, expected);
}

soda_status keys_per_level(const soda_json *json, const char *key, int64_t missing, int64_t most,
                           int levels, int64_t *values)
{
    int count = 0;
    char expected[80];
    TRY(soda_json_ints(json, key, values, levels, &count));
    if (soda_json_is_list(json, key) && count != levels) {
        snprintf(expected, sizeof expected, "one entry for each of %d levels", levels);
        return soda_json_refuse(json, key, expected);
    }
    if (count == 0) values[0] = missing;
    for (int i = count > 1 ? count : 1; i < levels; i++) values[i] = values[0];
    for (int i = 0; i < levels; i++) {
        if (values[i] >= 1 && values[i] <= most) continue;
        snprintf(expected, sizeof expected, "integers from 1 to %lld", (long long)most);
        return soda_json_refuse(json, key, expected);
    }
    return SODA_OK;
}

soda_status keys_positive(const soda_json *json, const char *key, double missing, double *value)
{
    TRY(soda_json_double(json, key, missing, value));
    if (isfinite(*value) && *value > 0) return SODA_OK;
    return soda_json_refuse(json, key, "a number above 0");
}

static bool is_absent(const soda_json *json, const char *key)
{
    return !soda_json_has(json, key) || soda_json_is_null(json, key);
}

soda_status keys_want_null(const soda_json *json, const char *key)
{
    return is_absent(json, key) ? SODA_OK : soda_json_refuse(json, key, "null");
}

soda_status keys_want_false(const soda_json *json, const char *key)
{
    const json_t *value = json_object_get(json->object, key);
    bool wanted = is_absent(json, key) || json_is_false(value);
    if (json_is_array(value)) {
        wanted = true;
        for (size_t i = 0; i < json_array_size(value); i++)
            wanted = wanted && json_is_false(json_array_get(value, i));
    }
    return wanted ? SODA_OK : soda_json_refuse(json, key, "false");
}

soda_status keys_want_number(const soda_json *json, const char *key, double value)
{
    double found;
    TRY(soda_json_double(json, key, value, &found));
    if (found == value) return SODA_OK;
    char expected[32];
    snprintf(expected, sizeof expected, "%g", value);
    return soda_json_refuse(json, key, expected);
}

soda_status keys_want_string(const soda_json *json, const char *key, const char *text)
{
    const char *found;
    TRY(soda_json_string(json, key, text, &found));
    if (!strcmp(found, text)) return SODA_OK;
    char expected[80];
    snprintf(expected, sizeof expected, "\"%s\"", text);
    return soda_json_refuse(json, key, expected);
}
