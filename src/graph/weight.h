/* weight.h: frozen weights, and where model builders get them from: a folder, or memory. */
#pragma once

#include <stdbool.h>

#include "core/status.h"
#include "core/tensor.h"

/* A frozen weight as its file holds it: fp32, bf16 or fp16, row-major, maybe not aligned. */
typedef struct {
    const char *name; /* unique within its store: the diffusers name with the component's prefix */
    soda_tensor source;
    bool mapped; /* source lies in a file mapping: its pages may be dropped once it was packed */
} soda_weight;

typedef struct soda_weight_source soda_weight_source;

struct soda_weight_source {
    /* Finds tensor `name`, which must have the shape `expected`. weight->name is set by the source
     * and lives as long as it. SODA_ERR_INPUT names file, tensor, what was expected and found. */
    soda_status (*find)(soda_weight_source *source, const char *name, const soda_shape *expected,
                        soda_weight *weight);
    /* Whether there is a tensor `name`; for names that older files spell differently. */
    bool (*has)(soda_weight_source *source, const char *name);
};
