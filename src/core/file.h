/* file.h: whole files into memory. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* Reads the regular file `path` of at most `limit` bytes; *data is for free(), a zero follows its
 * last byte. SODA_ERR_IO says why it cannot be read, SODA_ERR_INPUT that it is too large or not a
 * regular file. */
soda_status file_read(const char *path, size_t limit, void **data, size_t *bytes);
