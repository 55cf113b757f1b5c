/* checkpoint_folder.h: the files beside a checkpoint: names, `latest`, what is kept. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* FOLDER/step-00000100.h5; SODA_ERR_IO if `size` is too small for it. */
soda_status checkpoint_path(const char *folder, int64_t step, char *path, size_t size);

/* Makes `latest` name the checkpoint of `step`. */
soda_status checkpoint_set_latest(const char *folder, int64_t step);

/* Deletes what checkpoint_write says. */
soda_status checkpoint_prune(const char *folder, int64_t step, int64_t keep);
