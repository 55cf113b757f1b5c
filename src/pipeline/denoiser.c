#include "pipeline/denoiser.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/guidance.h"
#include "model/time_ids.h"
#include "model/unet.h"

static int64_t batch_of(const soda_denoiser *d) { return d->guided ? 2 : 1; }
static int64_t count_of(const soda_denoiser *d) { return d->channels * d->h * d->w; }

static soda_status start(const soda_folder *folder, const denoiser_size *size, soda_denoiser *d)
{
    *d = (soda_denoiser){.channels = folder->unet.in_channels,
                         .h = size->h,
                         .w = size->w,
                         .tokens = size->text->tokens,
                         .width = size->text->width,
                         .pooled_width = size->text->pooled_width,
                         .guided = size->guided};
    const size_t bytes = 2 * (size_t)count_of(d) * sizeof(float);
    d->both = malloc(bytes);
    d->nhwc = malloc(bytes);
    return d->both && d->nhwc ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

static unet_size size_of(const soda_denoiser *d)
{
    return (unet_size){batch_of(d), d->h, d->w, d->tokens, NULL};
}

soda_status denoiser_open(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                          const adapter_uses *adapters, const denoiser_size *size, soda_denoiser *d)
{
    soda_status s = SODA_OK;
    TRY_TO(failed, start(folder, size, d));
    TRY_TO(failed, network_open(folder, FOLDER_UNET, dtype, adapters, &d->net));
    soda_builder builder = network_builder(&d->net);
    unet_build(&builder, &folder->unet, size_of(d));
    TRY_TO(failed, network_ready(&d->net, backend, NULL));
    return SODA_OK;
failed:
    denoiser_close(d);
    return s;
}

soda_status denoiser_open_shared(const denoiser_unet *unet, const denoiser_size *size,
                                 soda_denoiser *d)
{
    exec_binding *list = NULL;
    int count = 0;
    soda_status s = SODA_OK;
    TRY_TO(done, start(unet->folder, size, d));
    TRY_TO(done, network_share(unet->dtype, unet->residency, &d->net));
    unet->append(unet->context, d->net.graph, size_of(d));
    TRY_TO(done, graph_status(d->net.graph));
    TRY_TO(done, unet->bind(unet->context, d->net.graph, &list, &count));
    s = network_ready(&d->net, unet->backend, &(exec_bindings){list, count});
done:
    free(list);
    if (s != SODA_OK) denoiser_close(d);
    return s;
}

/* Writes rows `negative` and `positive`, each of `count` floats, as one batch. */
static soda_status write_pair(soda_denoiser *d, const char *name, const float *rows, int64_t count,
                              int negative, int positive)
{
    if (!d->guided) return exec_write_f32(d->net.exec, name, rows + positive * count, count);
    float *pair = malloc(2 * (size_t)count * sizeof *pair);
    if (!pair) return FAIL(SODA_ERR_MEMORY, "out of memory");
    memcpy(pair, rows + negative * count, (size_t)count * sizeof *pair);
    memcpy(pair + count, rows + positive * count, (size_t)count * sizeof *pair);
    const soda_status s = exec_write_f32(d->net.exec, name, pair, 2 * count);
    free(pair);
    return s;
}

soda_status denoiser_condition(soda_denoiser *d, const soda_folder *folder, const soda_text *text,
                               int positive, int negative)
{
    TRY(write_pair(d, "encoder_hidden_states", text->hidden, d->tokens * d->width, negative,
                   positive));
    if (!folder->unet.text_time) return SODA_OK;
    TRY(write_pair(d, "text_embeds", text->pooled, d->pooled_width, negative, positive));
    const int64_t factor = config_vae_factor(&folder->vae);
    float ids[2 * UNET_TIME_IDS];
    for (int b = 0; b < 2; b++)
        time_ids_drawn(d->h * factor, d->w * factor, ids + b * UNET_TIME_IDS);
    return exec_write_f32(d->net.exec, "time_ids", ids, batch_of(d) * UNET_TIME_IDS);
}

soda_status denoiser_predict(soda_denoiser *d, const float *sample, double timestep,
                             double guidance, float *prediction)
{
    const int64_t n = count_of(d), batch = batch_of(d), hw = d->h * d->w;
    const float t[2] = {(float)timestep, (float)timestep};
    for (int64_t b = 0; b < batch; b++)
        network_to_nhwc(sample, 1, d->channels, hw, d->nhwc + b * n);
    TRY(exec_write_f32(d->net.exec, "sample", d->nhwc, batch * n));
    TRY(exec_write_f32(d->net.exec, "timestep", t, batch));
    TRY(exec_run(d->net.exec));
    TRY(exec_read_f32(d->net.exec, "prediction", d->nhwc, batch * n));
    if (!d->guided) {
        network_to_nchw(d->nhwc, 1, d->channels, hw, prediction);
        return SODA_OK;
    }
    network_to_nchw(d->nhwc, 2, d->channels, hw, d->both);
    guidance_apply(d->both, d->both + n, (float)guidance, prediction, n);
    return SODA_OK;
}

void denoiser_close(soda_denoiser *d)
{
    network_close(&d->net);
    free(d->both);
    free(d->nhwc);
    memset(d, 0, sizeof *d);
}
