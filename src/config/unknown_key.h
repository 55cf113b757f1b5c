/* unknown_key.h: a key that is in no row of run_config.def. */
#pragma once

#include "config/run_tree.h"

/* Records SODA_ERR_INPUT: "FILE:LINE: unknown key NAME, did you mean ...?", with the key or section
 * that is most like it, or the one that other programs call so. */
soda_status unknown_key_refuse(const run_value *value, const char *name);
