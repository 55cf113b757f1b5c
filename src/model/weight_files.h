/* weight_files.h: a set of safetensors as the frozen weights that graphs read. */
#pragma once

#include "graph/weight.h"
#include "io/safetensors.h"

/* The tensors of a set as frozen weights. weight->name is `prefix` and the name; weight->mapped is
 * true; finding a tensor marks it as used. F32, BF16 and F16; has() is also true for other types,
 * which find refuses. The set must outlive the source, the source the weights. */
soda_status weight_files_create(soda_safetensors *set, const char *prefix,
                                soda_weight_source **source);
void weight_files_destroy(soda_weight_source *source); /* accepts NULL */
