/* checkpoint_folder.h: the files beside a checkpoint: names, `latest`, what is kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* FOLDER/step-00000100.h5; SODA_ERR_IO if `size` is too small for it. */
soda_status checkpoint_path(const char *folder, int64_t step, char *path, size_t size);

/* Makes `latest` name the checkpoint of `step`. */
soda_status checkpoint_set_latest(const char *folder, int64_t step);

/* Deletes what checkpoint_write says. */
soda_status checkpoint_prune(const char *folder, int64_t step, int64_t keep);

/* The steps that have a file in a folder, falling: none if it is not there. Removes what is
 * unfinished if `tidy`. Free list->step; after a failure there is none. */
typedef struct {
    int64_t *step;
    int count;
} checkpoint_steps;
soda_status checkpoint_list(const char *folder, bool tidy, checkpoint_steps *list);

/* The step that `latest` names, -1 if there is no such file, or, after a warning, no such step. */
soda_status checkpoint_latest(const char *folder, const checkpoint_steps *list, int64_t *step);
