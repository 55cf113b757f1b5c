/* h5_attr.h: attributes of the root of a sealed file, and its groups.
 *
 * A path has no slash in front: "adapter/NAME". Functions that read fail with SODA_ERR_INPUT and
 * name file, object, what was expected and found; those that write, into memory, with
 * SODA_ERR_INTERNAL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/h5_file.h"

soda_status h5_attr_set_text(const h5_file *file, const char *name, const char *value);
soda_status h5_attr_set_i64(const h5_file *file, const char *name, int64_t value);
soda_status h5_attr_set_u64(const h5_file *file, const char *name, uint64_t value);

/* *value is for free(). */
soda_status h5_attr_get_text(const h5_file *file, const char *name, char **value);

/* Whether there is such an attribute. */
bool h5_attr_has(const h5_file *file, const char *name);

/* Any integer type that holds the value. */
soda_status h5_attr_get_i64(const h5_file *file, const char *name, int64_t *value);
soda_status h5_attr_get_u64(const h5_file *file, const char *name, uint64_t *value);

soda_status h5_attr_make_group(const h5_file *file, const char *path);

/* The names in a group, sorted by their bytes. Only plain links pass, so that nothing read by these
 * names lies in another file. */
typedef struct {
    char **name;
    int count;
} h5_attr_names;
soda_status h5_attr_list(const h5_file *file, const char *group, h5_attr_names *names);
void h5_attr_free(h5_attr_names *names);

/* Fails unless `name` is among them, or unless there are `expected` of them. */
soda_status h5_attr_expect(const h5_file *file, const char *group, const h5_attr_names *names,
                           const char *name);
soda_status h5_attr_expect_count(const h5_file *file, const char *group, const h5_attr_names *names,
                                 int expected);
