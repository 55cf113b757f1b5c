/* training_model.h: the model that is trained: its weights, its adapted layers and their bases. */
#pragma once

#include "adapter/bases.h"
#include "adapter/layers.h"
#include "backend/backend.h"
#include "backend/residency.h"
#include "comm/comm.h"
#include "config/run_config.h"
#include "model/folder.h"
#include "model/unet.h"

enum { TRAINING_COMPONENTS = 4 }; /* of folder_component */

typedef struct {
    const soda_backend *backend;
    soda_dtype dtype;
    const soda_folder *folder;
    bool text_encoder; /* the text encoders are adapted too: they are part of every graph */
    soda_weight_source *source[TRAINING_COMPONENTS];
    folder_weights files[TRAINING_COMPONENTS];
    soda_residency *residency; /* of packed weights, shared by all graphs */
    soda_targets *targets;
    soda_layers *layers;
    soda_bases *bases;
} training_model;

/* Opens the U-Net (and the text encoders if config says so), finds the layers that `config` adapts,
 * and loads or computes their bases. `folder` and `config` outlive the model. SODA_ERR_INPUT if
 * no layer is a target.
 *
 * Collective: bases are shared over ranks. */
soda_status training_model_open(const soda_folder *folder, const run_config *config,
                                const soda_backend *backend, soda_comm *comm,
                                training_model *model);

/* The same for a plan: the layers are found, but bases are not made and must not be read, nor may
 * weights be packed. `residency` becomes the model's own. unet: where the U-Net's weights come
 * from; NULL: the folder's files. Local. */
soda_status training_model_outline(const soda_folder *folder, const run_config *config,
                                   const soda_backend *backend, soda_weight_source *unet,
                                   soda_residency *residency, training_model *model);
void training_model_close(training_model *model); /* accepts a zeroed struct */

/* Takes bases of the layers from `source`, which has every weight: for a clock, to which only their
 * sizes matter. */
soda_status training_model_draw_bases(training_model *model, soda_weight_source *source);

/* The part of training_model_open that needs no files: notes the layers of model->folder that are
 * targets; sources are set. */
soda_status training_model_collect(training_model *model);

/* Appends the text encoders (if they are adapted) and the U-Net to `graph`; returns the prediction.
 * adapted: with the adapters, else as they came. training: which costs decide the routes. */
soda_id training_model_build(const training_model *model, soda_graph *graph, builder_adapt adapt,
                             bool training, unet_size size);

/* The U-Net alone, its texts as inputs, for many forward passes with the same adapters. */
soda_id training_model_build_sampler(const training_model *model, soda_graph *graph,
                                     builder_adapt adapt, unet_size size);
