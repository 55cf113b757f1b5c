/* run_folder.h: whose files lie in a run's folder: nothing that no soda run wrote is overwritten,
 * and no result is lost because its checkpoints are gone. Rank 0 only. */
#pragma once

#include <stdbool.h>

#include "output/run_lock.h"

/* Before the first write: makes OUTPUT/checkpoints, takes the lock, and deletes temporary files of
 * attempts that were killed. SODA_ERR_INPUT if another run holds the folder, or if it holds files
 * with the names of results but neither a checkpoint nor the lock file of an earlier run;
 * `overwrite` allows the latter. */
soda_status run_folder_open(const char *output, bool overwrite, run_lock **lock);

/* Before a run starts at step 0: SODA_ERR_INPUT if OUTPUT/adapter.safetensors is there, the result
 * of a run whose checkpoints are gone. */
soda_status run_folder_check_new(const char *output);

/* Writes the resolved configuration to OUTPUT/config.yaml. What the user wrote there, and `given`,
 * the file that this run was given, stay as they are: then it is OUTPUT/config.resolved.yaml, or
 * config.resolved-2.yaml, ..., with a line in the log. */
soda_status run_folder_write_config(const char *output, const char *given, const char *text);
