/* folder_check.h: names what was given in place of a model folder. */
#pragma once

#include "core/status.h"

/* SODA_OK if `path` is a folder with a model_index.json. Otherwise the message says what is there
 * (a single-file checkpoint, a pickle, a folder of the hub's cache, ...) and the way out. */
soda_status folder_check(const char *path);
