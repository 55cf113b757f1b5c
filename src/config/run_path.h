/* run_path.h: paths as users write them in a configuration. */
#pragma once

#include <stddef.h>

#include "core/status.h"

/* Most bytes of an expanded path, its zero included. */
enum { RUN_PATH_BYTES = 4096 };

/* `text` with "~" or "~/" at its start replaced by $HOME, $NAME and ${NAME} by the environment's
 * values, and "$$" by "$"; to path[RUN_PATH_BYTES]. What cannot be expanded is SODA_ERR_INPUT, and
 * `expected` [size] says what is missing, for run_tree_refuse; nothing is recorded. */
soda_status run_path_expand(const char *text, char *path, char *expected, size_t size);
