/* tokenizer_json.h: tokenizer.json, the one file that transformers 5 writes, as the older files. */
#pragma once

#include "tokenizer/tokenizer.h"

/* Fills the vocabulary (model.vocab) and the merges (model.merges, pairs or "LEFT RIGHT") of *files
 * from `whole`, from which they are borrowed, and puts added_tokens into files->config, which must
 * be open, unless it has an added_tokens_decoder.
 *
 * merges  out, the text of files->merges, for free() even after a failure
 *
 * SODA_ERR_INPUT and SODA_ERR_UNSUPPORTED name file and key. */
soda_status tokenizer_json_split(const soda_json *whole, tokenizer_files *files, char **merges);
