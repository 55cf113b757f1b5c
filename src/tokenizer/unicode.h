/* unicode.h: the Unicode facts that the CLIP tokenizer rests on.
 *
 * utf8proc answers for Unicode 15. The library behind transformers 5 (tokenizers 0.23) mixes three
 * versions: its regular expressions know the letters and numbers of Unicode 16, its lower-casing is
 * that of Unicode 17, its normalisation stopped at Unicode 9. The differences are short tables in
 * unicode.c, so that a prompt gives the same tokens there and here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General categories L* and N*, and the White_Space property. */
bool unicode_is_letter(int32_t point);
bool unicode_is_number(int32_t point);
bool unicode_is_space(int32_t point);

/* Full lower-casing of one code point, without context (no final sigma) and without language.
 * Writes one or two code points (two only for U+0130) and returns how many. */
int unicode_lower(int32_t point, int32_t lower[2]);

/* Decodes the code point at the start of text[0..bytes), bytes > 0. Returns the bytes it takes, 0
 * if they are not UTF-8 (overlong forms and surrogates are not). */
size_t unicode_decode(const char *text, size_t bytes, int32_t *point);

/* Encodes one code point as UTF-8, 1 to 4 bytes; returns how many. */
size_t unicode_encode(int32_t point, char *text);

/* Canonical composition (form NFC, Unicode Standard Annex 15) in place, in linear time.
 * points  in/out  [UNICODE_NFC_ROOM * count], the first `count` filled; the rest is scratch
 * returns how many are filled afterwards, at most 4 * count */
enum { UNICODE_NFC_ROOM = 8 };
size_t unicode_nfc(int32_t *points, size_t count);
