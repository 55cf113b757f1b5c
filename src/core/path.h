/* path.h: names of files in folders. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* "FOLDER/" and then what `format` gives, to path[size]. SODA_ERR_INPUT names the folder if that is
 * too long; path is then cut. */
soda_status path_in(char *path, size_t size, const char *folder, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
