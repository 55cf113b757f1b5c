/* path.h: names of files in folders. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

/* "FOLDER/" and then what `format` gives, to path[size]. SODA_ERR_INPUT names the folder if that is
 * too long; path is then cut. */
soda_status path_in(char *path, size_t size, const char *folder, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether the folder has that name. True for a symbolic link that leads to nothing: it names a file
 * that was meant to be there, and should be refused, not passed over. */
bool path_is_there(const char *path);

/* Records why `path` could not be opened: SODA_ERR_IO with what errno says, or SODA_ERR_INPUT with
 * the target of such a link. */
soda_status path_cannot_open(const char *path);
