/* h5_attr.h: attributes of the root of a sealed file, and its groups.
 *
 * A path has no slash in front: "adapter/NAME". Functions that read fail with SODA_ERR_INPUT and
 * name file, object, what was expected and found; those that write, into memory, with
 * SODA_ERR_INTERNAL. */
#pragma once

#include <stdint.h>

#include "io/h5_file.h"

soda_status fields_set_text(const soda_sealed *file, const char *name, const char *value);
soda_status fields_set_i64(const soda_sealed *file, const char *name, int64_t value);
soda_status fields_set_u64(const soda_sealed *file, const char *name, uint64_t value);

/* *value is for free(). */
soda_status fields_get_text(const soda_sealed *file, const char *name, char **value);

/* Any integer type that holds the value. */
soda_status fields_get_i64(const soda_sealed *file, const char *name, int64_t *value);
soda_status fields_get_u64(const soda_sealed *file, const char *name, uint64_t *value);

soda_status fields_make_group(const soda_sealed *file, const char *path);

/* The names in a group, sorted by their bytes. Only plain links pass, so that nothing read by these
 * names lies in another file. */
typedef struct {
    char **name;
    int count;
} field_names;
soda_status fields_list(const soda_sealed *file, const char *group, field_names *names);
void fields_free(field_names *names);

/* Fails unless `name` is among them, or unless there are `expected` of them. */
soda_status fields_expect(const soda_sealed *file, const char *group, const field_names *names,
                          const char *name);
soda_status fields_expect_count(const soda_sealed *file, const char *group,
                                const field_names *names, int expected);
