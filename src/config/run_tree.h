/* run_tree.h: which YAML node every key of a configuration has. Values are run_value.h's to check.
 */
#pragma once

#include <yaml.h>

#include "config/run_keys.h"

/* A text that was read: the defaults, the file (file is set) or a --set (set is its key). */
typedef struct {
    const char *file;
    char *set;
    yaml_document_t document;
} run_source;

typedef struct {
    run_source *source;
    const yaml_node_t *node; /* NULL: nothing at all, as --set a.b= gives */
    int line;                /* from 1: of the key, or of an entry of a list */
} run_value;

/* Every key with its default, or what the file, or the last set, has instead. */
typedef struct {
    run_source *sources; /* the defaults, the file, the sets */
    int source_count;
    run_value value[RUN_KEYS];
    run_value fallback[RUN_KEYS];
} run_tree;

/* Fills the tree, which begins as zeros. Unknown and repeated keys and what is not YAML are
 * SODA_ERR_INPUT, a set without '=' is SODA_ERR_USAGE. Free the tree in any case; it refers to
 * `file`. */
soda_status run_tree_read(run_tree *tree, const char *text, size_t bytes, const char *file,
                          const char *const *sets, int set_count);
void run_tree_free(run_tree *tree);

/* The value of the key `name`, which exists; NULL where it is the default. */
const run_value *run_tree_given(const run_tree *tree, const char *name);

/* An entry of a list, or the key or value of a mapping's pair. */
run_value run_tree_child(const run_value *value, yaml_node_item_t item);

/* Nothing, or one of null, Null, NULL and ~ without quotes. */
bool run_tree_is_null(const run_value *value);

/* The text of a scalar; NULL if it is none, or holds a zero byte. */
const char *run_tree_scalar(const run_value *value);

/* The same, and no quotes around it: what numbers, booleans and null look like. */
const char *run_tree_plain(const run_value *value);

/* Writes "FILE:LINE: NAME" or "--set NAME" to `text`, cut to `size`, and returns it. NULL as the
 * name leaves it out. */
char *run_tree_place(const run_value *value, const char *name, char *text, size_t size);

/* Records SODA_ERR_INPUT: "FILE:LINE: NAME: expected EXPECTED, found ...". */
soda_status run_tree_refuse(const run_value *value, const char *name, const char *expected);
