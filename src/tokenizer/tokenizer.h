/* tokenizer.h: a prompt becomes the token ids that CLIP's text encoder reads.
 *
 * The ids equal those of CLIPTokenizer in transformers 5 for every UTF-8 text: special tokens are
 * cut out of the text; the rest is normalised (NFC, white space collapsed, lower case), special
 * tokens that want normalised text are cut out of that; what is left falls into words, and words
 * into byte pairs (bpe.h). Unicode as in unicode.h.
 * Read-only after opening: threads may share one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"

typedef struct soda_tokenizer soda_tokenizer;

/* Opens a diffusers tokenizer folder: tokenizer.json or, without it, vocab.json and merges.txt; and
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json, if they are there.
 *
 * A special token is a string or an object with "content"; special_tokens_map.json wins over
 * tokenizer_config.json unless the latter has added_tokens_decoder, as in transformers.
 * SODA_ERR_INPUT names file and key or line; SODA_ERR_UNSUPPORTED an option that changes the ids
 * and is not implemented; SODA_ERR_IO a file that is missing. */
soda_status tokenizer_open(const char *folder, soda_tokenizer **tokenizer);

/* The same from memory. Without special_tokens_map.json, added_tokens.json or tokenizer.json, of
 * which only added_tokens are read here, the object of `special`, `added` or `whole` is NULL. */
typedef struct {
    soda_json vocab, config, special, added, whole;
    const char *merges, *merges_file; /* the text of merges.txt, and its name for messages */
    size_t merges_bytes;
} tokenizer_files;
soda_status tokenizer_read(const tokenizer_files *files, soda_tokenizer **tokenizer);

/* Encodes `text` as BOS, at most length - 2 tokens, EOS, and padding up to `length`.
 *
 * text       UTF-8; SODA_ERR_INPUT names the first byte that is not
 * ids        out [length], length >= 2
 * truncated  out, whether tokens were cut off; NULL if not wanted */
soda_status tokenizer_encode(const soda_tokenizer *tokenizer, const char *text, int32_t *ids,
                             int length, bool *truncated);

/* model_max_length: what `length` usually is, 77 in every published model; 65536 where the file
 * gives no limit, or a higher one. */
int tokenizer_length(const soda_tokenizer *tokenizer);

int32_t tokenizer_bos(const soda_tokenizer *tokenizer);
int32_t tokenizer_eos(const soda_tokenizer *tokenizer);
int32_t tokenizer_pad(const soda_tokenizer *tokenizer);

/* One more than the largest id: the rows that the text encoder's embedding must have. */
int32_t tokenizer_id_count(const soda_tokenizer *tokenizer);

/* Accepts NULL. */
void tokenizer_close(soda_tokenizer *tokenizer);
