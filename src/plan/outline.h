/* outline.h: a run as far as it can be known before it starts: its layers, parameters and networks,
 * with their memory planned and none of it taken.
 *
 * It is made by the functions that open a run, from the configuration and the headers of files. */
#pragma once

#include "data/dataset.h"
#include "plan/ledger.h"
#include "train/networks.h"

typedef struct {
    const run_config *config;
    const soda_backend *backend;
    /* The U-Net's weights, and a folder with its configuration, where there is no model folder;
     * NULL: config->model is opened. */
    soda_weight_source *unet;
    const soda_folder *unet_folder;
    int sharers;          /* ranks that hold one copy of the frozen weights together */
    bool rebuilds;        /* backend/residency.h */
    size_t machine_bytes; /* that a rank may have */
} outline_request;

typedef struct {
    const outline_request *request;
    soda_folder *opened;       /* by this outline, or NULL */
    const soda_folder *folder; /* that it is about */
    soda_dataset *data, *prior, *held_out;
    training_model model;
    soda_params params;
    soda_networks networks;
    float *image;                        /* DCO: see step_shape */
    size_t program_bytes;                /* resident now, but for what the rows below count */
    size_t data_bytes;                   /* latents and text states */
    size_t picture_bytes;                /* of networks that draw while the run goes on */
    int64_t pictures, texts, file_bytes; /* file_bytes: of the components that a run packs */
    int64_t frozen;                      /* parameters of the networks that are trained */
} soda_outline;

/* SODA_ERR_INPUT names the file and key that is wrong or missing. `request` outlives the outline.
 * Without config->data.path one picture of data.resolution is assumed. */
soda_status outline_open(const outline_request *request, soda_outline *outline);
void outline_close(soda_outline *outline); /* accepts a zeroed struct */

/* The network of one training step: of the largest latents. */
const soda_step *outline_step(const soda_outline *outline);
