/* run_config_diff.h: which keys differ between two configurations that run_config_text wrote, this
 * version's or an earlier one's. */
#pragma once

#include "core/status.h"

typedef struct {
    char *name;           /* "train.steps", as it is called now */
    char *before, *after; /* values as in the file; "not set" where a key does not apply */
} run_config_change;

typedef struct {
    run_config_change *list; /* in the order of `after`, then what only `before` has */
    int count;
} run_config_diff;

/* A key that one of them lacks, because that version did not have it or it did not apply, counts
 * as one with its default; numbers are compared by value. Lines that are no "key: value" are
 * passed over. SODA_ERR_MEMORY leaves nothing behind. */
soda_status run_config_diff_find(const char *before, const char *after, run_config_diff *changes);
void run_config_diff_free(run_config_diff *changes);
