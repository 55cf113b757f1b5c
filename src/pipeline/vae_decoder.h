/* vae_decoder.h: decodes latents to pictures. */
#pragma once

#include "backend/backend.h"
#include "model/folder.h"
#include "pipeline/network.h"

typedef struct {
    soda_network net;
    int64_t channels, h, w, factor; /* latent size */
    double scaling_factor;
} vae_decoder;

/* Loads the VAE's decoder for one latent picture [channels,h,w] at a time. In fp32 if the folder
 * says force_upcast, else in `dtype`. */
soda_status vae_decoder_open(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t h, int64_t w, vae_decoder *decoder);

/* The same without memory: the network is planned, but not committed. */
soda_status vae_decoder_plan(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t h, int64_t w, vae_decoder *decoder);

/* latents [channels,h,w] as the sampler leaves them -> rgb [h factor,w factor,3]:
 * clamp(x / 2 + 0.5) 255, half to even. SODA_ERR_NUMERIC if the picture is not finite. */
soda_status vae_decoder_run(vae_decoder *decoder, const float *latents, uint8_t *rgb);

void vae_decoder_close(vae_decoder *decoder);
