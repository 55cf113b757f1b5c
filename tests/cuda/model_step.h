/* model_step.h: the training step of a published model, as a graph: what is counted for
 * GPUs without one. */
#pragma once

#include "backend/backend.h"
#include "train/step.h"

typedef struct {
    const char *arch, *method; /* of app/archs.h, of adapter/methods.def */
    soda_dtype dtype;
    int64_t batch, latent;
} model_step_name;

enum { MODEL_STEPS = 4 };
extern const model_step_name model_steps[MODEL_STEPS];

typedef struct {
    soda_folder folder;
    soda_weight_source *source;
    training_model model;
    soda_params params;
    soda_step step; /* planned; nothing is committed */
} model_step;

soda_status model_step_open(const model_step_name *name, const soda_backend *backend,
                            model_step *m);
void model_step_close(model_step *m); /* accepts a zeroed struct */
