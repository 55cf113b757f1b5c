/* checkpoint_layout.h: what the writer and the reader of checkpoints share. */
#pragma once

#include "core/status.h"

#define CHECKPOINT_FORMAT "soda-checkpoint"

enum { CHECKPOINT_MOST_PATH = 4096 };

/* "GROUP/NAME" or "GROUP/NAME/LEAF" (NULL: none). */
soda_status checkpoint_object(char path[CHECKPOINT_MOST_PATH], const char *group, const char *name,
                              const char *leaf);
