/* added_tokens.h: the tokens of a tokenizer's files that stand there with ids of their own, beside
 * the vocabulary. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokenizer/tokenizer.h"

/* One mention of a token in a file; the string is borrowed from the JSON. */
typedef struct {
    const char *content;
    bool is_normalized; /* looked for in normalised text */
    bool is_special, lstrip, rstrip;
    bool is_object;   /* the file has an object, not a string */
    bool is_declared; /* makes the token of added_tokens.json with its name a special one */
} token_mention;

typedef struct {
    int64_t id;
    size_t order; /* in the files */
    token_mention mention;
    const char *file;
} added_token;

typedef struct {
    added_token *token; /* by rising id, none twice */
    size_t count;
} added_tokens;

/* Reads added_tokens_decoder of tokenizer_config.json or, without it, added_tokens.json and then
 * added_tokens of tokenizer.json. `mentions` are those of tokenizer_config.json and
 * special_tokens_map.json. Errors as tokenizer_open; *added is then empty. */
soda_status added_tokens_read(const tokenizer_files *files, const token_mention *mentions,
                              size_t count, added_tokens *added);

void added_tokens_free(added_tokens *added);

/* Reads the object form, {"content": "<cat>", ...}. is_special: what "special" means when absent.
 */
soda_status added_tokens_mention(const soda_json *object, bool is_special, token_mention *mention);
