/* device_room.h: whether a run fits on a rank's device, known before anything of it is loaded. */
#pragma once

#include "config/run_config.h"
#include "plan/outline.h"

/* SODA_ERR_MEMORY if this rank's part of a run on `ranks` ranks needs more than what is free on the
 * device of `backend`, which is not the host: the message has the GiB of each kind, what is free,
 * and smaller settings that fit. Whatever else is wrong with the run is not found here. From the
 * configuration and the headers of files. Local. */
soda_status device_room_check(const run_config *config, const soda_backend *backend, int ranks);
