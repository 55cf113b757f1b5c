/* vae_encoder.h: encodes pictures to the posterior over latents. */
#pragma once

#include "backend/backend.h"
#include "model/folder.h"
#include "pipeline/network.h"

typedef struct {
    soda_network net;
    int64_t height, width;  /* of the picture, in pixels */
    int64_t channels, h, w; /* of the latents */
} vae_encoder;

/* The type that the VAE runs in: fp32 if the folder says force_upcast, else `dtype`. */
soda_dtype vae_encoder_dtype(const soda_folder *folder, soda_dtype dtype);

/* Loads the VAE's encoder for one picture of height x width pixels at a time, both multiples of the
 * VAE's factor. SODA_ERR_UNSUPPORTED if it does not read RGB. */
soda_status vae_encoder_open(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t height, int64_t width, vae_encoder *encoder);

/* pixels [height,width,3] in [-1,1] -> mean, std [h,w,channels] of the posterior, channels last;
 * not times scaling_factor. std = exp(logvar / 2), logvar clamped as vae_clamp_logvar does.
 * SODA_ERR_NUMERIC if one is not finite. */
soda_status vae_encoder_run(vae_encoder *encoder, const float *pixels, float *mean, float *std);

void vae_encoder_close(vae_encoder *encoder);
