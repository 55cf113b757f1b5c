/* module.h: parts of the program that are loaded when first needed: shared libraries of its own. */
#pragma once

#include "core/status.h"

/* Loads the file `name` from the program's folder or the one above (a build), from ../lib/soda (an
 * installation), or else from where the system's loader looks; *symbol is the address of `entry`
 * in it. Never unloaded. SODA_ERR_UNSUPPORTED with the loader's words. */
soda_status module_load(const char *name, const char *entry, const void **symbol);
