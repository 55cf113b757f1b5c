/* file_kind.h: what a file is, told from its first bytes, for messages about files that are not
 * what was asked for. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* "a Git LFS pointer, not the file itself (...)" and the like: what the bytes are and, where there
 * is one, the way out. NULL for text and for anything that is not recognised. */
const char *file_kind(const void *bytes, size_t size);

/* Records SODA_ERR_INPUT: "FILE: expected EXPECTED, found KIND"; a short unknown text is shown. */
soda_status file_kind_refuse(const void *bytes, size_t size, const char *file,
                             const char *expected);
