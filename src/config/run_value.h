/* run_value.h: from a YAML node to a checked field of the configuration. */
#pragma once

#include "config/run_tree.h"

/* Checks the key's value and writes its field. A relative path of the file is put behind `folder`,
 * which is "" or ends in '/'. SODA_ERR_INPUT as run_config.h says. */
soda_status run_value_read(const run_key *key, const run_value *value, const char *folder,
                           run_config *config);

/* Frees what the key's field holds. */
void run_value_free(const run_key *key, run_config *config);
