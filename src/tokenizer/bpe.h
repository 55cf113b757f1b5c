/* bpe.h: byte-pair encoding with CLIP's end-of-word suffix, from vocab.json and merges.txt.
 *
 * A word starts as its bytes, the last one with "</w>" attached; the neighbouring pair of lowest
 * rank is merged, the leftmost first, until no pair has a rank.
 *     Sennrich, Haddow & Birch, arXiv:1508.07909; the alphabet for bytes is that of GPT-2.
 * Read-only after bpe_read: threads may share one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"

typedef struct soda_bpe soda_bpe;

/* SODA_ERR_INPUT unless every id of vocab.json lies in [0, number of tokens), none twice. */
soda_status bpe_check_vocab(const soda_json *vocab);

/* Builds the encoder. Lines of merges.txt are "LEFT RIGHT"; the rank of a pair is its place.
 *
 * vocab         tokens and their ids, checked
 * merges        [merges_bytes] the text of merges.txt, called merges_file in messages
 * unknown       the token for bytes that the vocabulary does not have
 *
 * SODA_ERR_INPUT names the line of merges.txt that is not a merge of three known tokens, or a byte
 * that has no token while `unknown` has none either. */
soda_status bpe_read(const soda_json *vocab, const char *merges, size_t merges_bytes,
                     const char *merges_file, const char *unknown, soda_bpe **bpe);

/* Bytes of scratch that bpe_encode needs for a word of at most `bytes` bytes. */
size_t bpe_scratch_bytes(size_t bytes);

/* Encodes one word, of at least one byte, in O(bytes log bytes) time.
 * word     [bytes]
 * scratch  bpe_scratch_bytes(bytes), aligned to 8
 * returns the ids, inside scratch; *count is how many, at most `bytes` */
const int32_t *bpe_encode(const soda_bpe *bpe, const char *word, size_t bytes, void *scratch,
                          size_t *count);

void bpe_close(soda_bpe *bpe);
