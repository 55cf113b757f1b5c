/* special_tokens.h: the tokens that are found in a text as they stand, from a tokenizer's files.
 *
 * transformers 5 keeps them in the order in which they were added, of equal contents the last. A
 * token whose file says "normalized": true is looked for after normalisation, others before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    char *content; /* what is looked for: normalised if `is_normalized` */
    size_t bytes;
    int32_t id;
    bool is_normalized;
    bool takes_space; /* beside it: "lstrip" or "rstrip" */
} special_token;

typedef struct {
    special_token *token;
    size_t count;
    int32_t bos, eos, pad;
    int32_t id_count;    /* one more than the largest id, the vocabulary's included */
    const char *unknown; /* unk_token, borrowed from the JSON */
    bool starts[2][256]; /* [is_normalized][b]: some token starts with byte b */
} special_tokens;

/* From all files but the merges. Errors as tokenizer_open; *list is then empty. */
soda_status special_tokens_read(const tokenizer_files *files, special_tokens *list);

/* The first token in text[0..bytes), of two at one place the longer one; NULL if there is none.
 * *at is where it starts, or `bytes`. */
const special_token *special_tokens_find(const special_tokens *list, bool is_normalized,
                                         const char *text, size_t bytes, size_t *at);

void special_tokens_free(special_tokens *list);
