/* loose_json.h: JSON as Python writes it becomes JSON that jansson reads. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* What stands for NaN: a string of one DEL character. */
#define LOOSE_JSON_NAN "\x7f"

/* *copy of text[bytes], for free(), with numbers that jansson does not read replaced by others as
 * long, so that columns stay: Infinity and what overflows by 1.7e308 or 9e307, an integer beyond 64
 * bits by a real of that size, NaN by the string above. NULL if there is nothing to replace.
 * SODA_ERR_MEMORY is recorded under the name `file`. */
soda_status loose_json(const char *text, size_t bytes, const char *file, char **copy);
