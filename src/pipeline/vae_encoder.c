#include "pipeline/vae_encoder.h"

#include <math.h>

#include "model/vae.h"

soda_dtype vae_encoder_dtype(const soda_folder *folder, soda_dtype dtype)
{
    return folder->vae.force_upcast ? SODA_F32 : dtype;
}

soda_status vae_encoder_open(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t height, int64_t width, vae_encoder *encoder)
{
    const soda_vae_config *config = &folder->vae;
    const int64_t factor = config_vae_factor(config);
    soda_status s = SODA_OK;
    *encoder = (vae_encoder){.height = height,
                             .width = width,
                             .channels = config->latent_channels,
                             .h = height / factor,
                             .w = width / factor};
    if (config->in_channels != 3)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s/vae/config.json: in_channels: expected 3, found %lld",
                    folder->root, (long long)config->in_channels);
    TRY(network_open(folder, FOLDER_VAE, vae_encoder_dtype(folder, dtype), NULL, &encoder->net));
    soda_builder builder = network_builder(&encoder->net);
    TRY_TO(failed, vae_build_encoder(&builder, config, 1, height, width));
    TRY_TO(failed, network_ready(&encoder->net, backend, NULL));
    return SODA_OK;
failed:
    vae_encoder_close(encoder);
    return s;
}

soda_status vae_encoder_run(vae_encoder *e, const float *pixels, float *mean, float *std)
{
    const int64_t count = e->h * e->w * e->channels;
    TRY(exec_write_f32(e->net.exec, "pixels", pixels, e->height * e->width * 3));
    TRY(exec_run(e->net.exec));
    TRY(exec_read_f32(e->net.exec, "mean", mean, count));
    TRY(exec_read_f32(e->net.exec, "logvar", std, count));
    for (int64_t i = 0; i < count; i++) /* before the clamp, which may hide a NaN */
        if (!isfinite(mean[i]) || !isfinite(std[i]))
            return FAIL(SODA_ERR_NUMERIC, "the latents are not finite (try fp32)");
    vae_clamp_logvar(std, count);
    for (int64_t i = 0; i < count; i++) std[i] = expf(std[i] / 2);
    return SODA_OK;
}

void vae_encoder_close(vae_encoder *encoder) { network_close(&encoder->net); }
