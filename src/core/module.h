/* module.h: parts of the program that are loaded when first needed: shared libraries of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

/* The path of the file `name` in the program's folder, the one above (a build) or ../lib/soda (an
 * installation); a name with a slash is a path already. False if there is no such file: `path` is
 * then the name itself. */
bool module_find(const char *name, char *path, size_t size);

/* Loads the file `name` from where module_find found it, or else from where the system's loader
 * looks; *symbol is the address of `entry` in it. Never unloaded. SODA_ERR_UNSUPPORTED with the
 * loader's words, or because the file is shorter than its headers say; SODA_ERR_MEMORY if there is
 * no memory or address space for it. */
soda_status module_load(const char *name, const char *entry, const void **symbol);
