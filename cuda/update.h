/* update.h: backend/update.h on the open GPU. */
#pragma once

#include "backend/update.h"

const soda_update *update_gpu(void);

/* Its rotations: a block of the GPU per matrix, all of the list in one launch. */
soda_status update_rotations_open(soda_device *device, const stiefel_f32 *matrices, int64_t count,
                                  update_rotations **rotations);
void update_rotations_close(soda_device *device, update_rotations *rotations);
soda_status update_rotations_step(soda_device *device, update_rotations *rotations,
                                  const stiefel_rule *rule, const double *norm, double *drift);
