/* inspect_adapter.h: what soda inspect prints about adapter files and checkpoints. */
#pragma once

#include "interop/adapter_file.h"

/* Method, layers, factors, parameters, orthogonality, delta. With `model` (a folder; NULL: none)
 * also which layers fit it, and the way each would be computed in training. */
soda_status inspect_adapter(const soda_adapter *adapter, const char *model);

/* Step, hashes, configuration and the last row of the history; then as above. */
soda_status inspect_checkpoint(const char *file, const soda_checkpoint *checkpoint,
                               const char *model);
