/* run_folder.h: whose files lie in a run's folder: nothing that no soda run wrote is overwritten,
 * and no result is lost because its checkpoints are gone. Rank 0 only. */
#pragma once

#include <stdbool.h>

#include "output/run_lock.h"

/* Before the first write: makes OUTPUT/checkpoints, takes the lock, and deletes temporary files of
 * attempts that were killed. `text` is the resolved configuration of this run.
 *
 * SODA_ERR_INPUT if another run holds the folder, if .lock is no lock file of soda, or if there is
 * no checkpoint to resume from but something that a new run would replace. A run that ended before
 * its first checkpoint may be started again: where the last configuration that soda wrote here is
 * that of this run, metrics and samples are its own. `overwrite` allows all but the first. */
soda_status run_folder_open(const char *output, const char *text, bool overwrite, run_lock **lock);

/* Writes the resolved configuration to OUTPUT/config.yaml. What the user wrote there, and `given`,
 * the file that this run was given, stay as they are: then it is OUTPUT/config.resolved.yaml, or
 * config.resolved-2.yaml, ..., with a line in the log. */
soda_status run_folder_write_config(const char *output, const char *given, const char *text);
