#include "pipeline/vae_decoder.h"

#include <math.h>
#include <stdlib.h>

#include "model/vae.h"

soda_status vae_decoder_plan(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t h, int64_t w, vae_decoder *decoder)
{
    const soda_vae_config *config = &folder->vae;
    soda_status s = SODA_OK;
    *decoder = (vae_decoder){.channels = config->latent_channels,
                             .h = h,
                             .w = w,
                             .factor = config_vae_factor(config),
                             .scaling_factor = config->scaling_factor};
    if (config->out_channels != 3)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s/vae/config.json: out_channels: expected 3, found %lld", folder->root,
                    (long long)config->out_channels);
    const soda_dtype type = config->force_upcast ? SODA_F32 : dtype;
    TRY(network_open(folder, FOLDER_VAE, type, NULL, &decoder->net));
    soda_builder builder = network_builder(&decoder->net);
    TRY_TO(failed, vae_build_decoder(&builder, config, 1, h, w));
    TRY_TO(failed, network_plan(&decoder->net, backend, NULL));
    return SODA_OK;
failed:
    vae_decoder_close(decoder);
    return s;
}

soda_status vae_decoder_open(const soda_folder *folder, const soda_backend *backend,
                             soda_dtype dtype, int64_t h, int64_t w, vae_decoder *decoder)
{
    TRY(vae_decoder_plan(folder, backend, dtype, h, w, decoder));
    const soda_status s = network_commit(&decoder->net, backend);
    if (s != SODA_OK) vae_decoder_close(decoder);
    return s;
}

soda_status vae_decoder_run(vae_decoder *d, const float *latents, uint8_t *rgb)
{
    const int64_t hw = d->h * d->w, pixels = hw * d->factor * d->factor * 3;
    float *nhwc = malloc((size_t)(hw * d->channels) * sizeof *nhwc);
    float *image = malloc((size_t)pixels * sizeof *image);
    soda_status s = SODA_OK;
    if (!nhwc || !image) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    network_to_nhwc(latents, 1, d->channels, hw, nhwc);
    for (int64_t i = 0; i < hw * d->channels; i++) nhwc[i] /= (float)d->scaling_factor;
    TRY_TO(done, exec_write_f32(d->net.exec, "latents", nhwc, hw * d->channels));
    TRY_TO(done, exec_run(d->net.exec));
    TRY_TO(done, exec_read_f32(d->net.exec, "image", image, pixels));
    for (int64_t i = 0; i < pixels; i++) {
        if (!isfinite(image[i])) {
            s = FAIL(SODA_ERR_NUMERIC, "the decoded picture is not finite (try --dtype fp32)");
            goto done;
        }
        const float x = fminf(fmaxf(image[i] / 2 + 0.5f, 0), 1);
        rgb[i] = (uint8_t)lrintf(x * 255); /* half to even, as numpy rounds */
    }
done:
    free(nhwc);
    free(image);
    return s;
}

void vae_decoder_close(vae_decoder *decoder) { network_close(&decoder->net); }
