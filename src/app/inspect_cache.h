/* inspect_cache.h: what a cache holds, on stdout. */
#pragma once

#include <stdbool.h>

#include "core/status.h"

/* Files and bytes of each kind, and how to clear it; *is_cache is false, and nothing printed, if
 * no file of the folder is one of a cache. */
soda_status inspect_cache(const char *folder, bool *is_cache);
