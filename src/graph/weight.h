/* weight.h: where model builders get frozen weights from: a folder, or memory. */
#pragma once

#include <stdbool.h>

#include "backend/backend.h"
#include "core/status.h"
#include "core/tensor.h"

typedef struct soda_weight_source soda_weight_source;

struct soda_weight_source {
    /* Finds tensor `name`, which must have the shape `expected`. weight->name is set by the source
     * and lives as long as it. SODA_ERR_INPUT names file, tensor, what was expected and found. */
    soda_status (*find)(soda_weight_source *source, const char *name, const soda_shape *expected,
                        soda_weight *weight);
    /* Whether there is a tensor `name`; for names that older files spell differently. */
    bool (*has)(soda_weight_source *source, const char *name);
};
