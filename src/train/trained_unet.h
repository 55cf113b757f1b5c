/* trained_unet.h: the U-Net of a run as samplers draw with it. */
#pragma once

#include "pipeline/denoiser.h"
#include "train/params.h"
#include "train/training_model.h"

typedef struct {
    const training_model *model;
    const soda_params *params; /* the values to draw with; NULL: without adapters */
} trained_unet;

/* It refers to `unet`, which must outlive it. */
denoiser_unet trained_unet_denoiser(const trained_unet *unet);
