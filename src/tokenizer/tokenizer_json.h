/* tokenizer_json.h: the vocabulary and the merges in tokenizer.json, the one file that transformers
 * 5 writes. */
#pragma once

#include "tokenizer/tokenizer.h"

/* Fills vocab (model.vocab) and merges (model.merges, pairs or "LEFT RIGHT") of *files from its
 * `whole`, from which they are borrowed.
 *
 * merges  out, the text of files->merges, for free() even after a failure
 *
 * SODA_ERR_INPUT and SODA_ERR_UNSUPPORTED name file and key. */
soda_status tokenizer_json_split(tokenizer_files *files, char **merges);
