/* normalize.h: the form of a text that CLIP's words are cut from. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* NFC, then every run of white space becomes one space, then lower case, code point by code point.
 * text    [bytes] well-formed UTF-8
 * normal  out [*normal_bytes], the caller's to free
 * Linear in `bytes`. SODA_ERR_MEMORY only. */
soda_status normalize_text(const char *text, size_t bytes, char **normal, size_t *normal_bytes);
