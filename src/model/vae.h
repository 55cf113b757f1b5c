/* vae.h: AutoencoderKL as two graphs. Pictures are in [-1,1]. */
#pragma once

#include "model/builder.h"
#include "model/config.h"

/* input   pixels fp32 [N,H,W,in_channels]; H and W at least config_vae_factor
 * outputs mean, logvar fp32 [N,h,w,latent_channels], h = H / factor; logvar is not clamped yet:
 *         see vae_clamp_logvar. Latents are (mean + exp(logvar / 2) noise) scaling_factor. */
soda_status vae_build_encoder(soda_builder *b, const soda_vae_config *config, int64_t batch,
                              int64_t height, int64_t width);

/* To [-30,20], as diffusers' DiagonalGaussianDistribution does. */
void vae_clamp_logvar(float *logvar, int64_t count);

/* input   latents fp32 [N,h,w,latent_channels], already divided by scaling_factor
 * output  image fp32 [N,h factor,w factor,out_channels], not clamped */
soda_status vae_build_decoder(soda_builder *b, const soda_vae_config *config, int64_t batch,
                              int64_t height, int64_t width);
