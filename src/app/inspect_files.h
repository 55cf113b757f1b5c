/* inspect_files.h: what a run's configuration, its spectra or a file of prompts says, on stdout. */
#pragma once

#include "core/status.h"

/* Checks a run's YAML file as soda train does, and shows what it sets and which of its folders are
 * not there. */
soda_status inspect_run(const char *path);

/* Records, layers, effective rank and rotation angles. */
soda_status inspect_spectra(const char *path);

/* How many prompts; with the folder of a model (NULL: none) also how many it truncates. */
soda_status inspect_prompts(const char *path, const char *model);
