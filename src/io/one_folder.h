/* one_folder.h: whether ranks of a node share files. */
#pragma once

#include <stdbool.h>

#include "comm/comm.h"

/* Whether all ranks of `node` find one and the same folder at `path`, by its device and inode; a
 * path without a folder is none. After this call files are found that other nodes stored there
 * before it. Collective. */
soda_status one_folder(soda_comm *node, const char *path, bool *one);
