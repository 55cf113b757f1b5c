/* text_file.h: the text of a file from outside, in one form whichever system wrote it. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* Reads the text file `path` of at most `limit` bytes: UTF-8 without a byte order mark, lines that
 * end in "\n" (CRLF and CR are turned into it), and a zero behind it. *text is for free().
 *
 * SODA_ERR_INPUT says what is no text (core/file_kind.h), that it is UTF-16, or names the line that
 * is not UTF-8 or holds a zero byte. An empty file is an empty text. Otherwise as file_read. */
soda_status text_file_read(const char *path, size_t limit, char **text, size_t *bytes);

/* The same for text[*bytes] in memory, behind which a zero stands; `file` is for messages. */
soda_status text_file_clean(char *text, size_t *bytes, const char *file);
