/* params_adapter.h: the present values of a run as an adapter. */
#pragma once

#include "interop/adapter_file.h"
#include "train/params.h"

/* Copies the values that params_fetch got. `layers` are the run's, with their bases; they must
 * outlive the adapter. base_sha256 may be "". */
soda_status params_adapter(const soda_params *params, soda_layers *layers,
                           const soda_method *method, const char *base_sha256,
                           soda_adapter **adapter);
