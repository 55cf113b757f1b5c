/* truncation.h: the row of ids that a text encoder reads: BOS, as many ids of a text as fit, EOS,
 * and padding up to the length. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int32_t *ids; /* [length], borrowed */
    int length;
    int64_t count; /* ids of the text so far, also those that did not fit */
} truncation;

/* length >= 2 */
truncation truncation_begin(int32_t *ids, int length);
void truncation_add(truncation *row, int32_t id);

/* Whether an id did not fit: the rest of the text cannot change what is kept. */
bool truncation_is_cut(const truncation *row);

/* Once, after the last id. */
void truncation_finish(truncation *row, int32_t bos, int32_t eos, int32_t pad);
