#include "train/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "train/findings.h"
#include "train/step.h"

typedef struct {
    const run_config *config;
    soda_safetensors *batch;
    soda_folder *folder;
    training_model model;
    soda_params params;
    soda_step step, frozen; /* frozen: DCO only */
    float *image;           /* [B] on the device: DCO's image errors */
    soda_findings found;
    int64_t steps, B, C, h, w, tokens;
    float *prediction, *loss, *gradient; /* gradient: of the first step */
} replay;

static bool may_be_whole(const char *name) { return strcmp(name, "timestep") == 0; }

static bool has_type(const safetensors_tensor *t, const char *name)
{
    const bool is_whole = t->dtype == SAFETENSORS_I64 || t->dtype == SAFETENSORS_I32;
    return t->dtype == SAFETENSORS_F32 || (is_whole && may_be_whole(name));
}

/* Tensor `name` of the batch with `rank` dimensions; dim[i] < 0 is set to what was found. */
static soda_status find(const replay *r, const char *name, int rank, int64_t *dim,
                        const safetensors_tensor **tensor)
{
    const safetensors_tensor *t = *tensor = safetensors_find(r->batch, name);
    if (!t)
        return FAIL(SODA_ERR_INPUT, "%s: %s: expected this tensor, found none",
                    safetensors_path(r->batch), name);
    bool fits = t->rank == rank && has_type(t, name);
    for (int i = 0; fits && i < rank; i++) {
        if (dim[i] < 0) dim[i] = t->dim[i];
        fits = t->dim[i] == dim[i] && dim[i] > 0;
    }
    safetensors_mark_used(r->batch, name);
    if (fits) return SODA_OK;
    char expected[160] = "", found[192];
    for (int i = 0, a = 0; i < rank; i++)
        a += dim[i] < 0 ? snprintf(expected + a, 40, "%s?", i ? "," : "")
                        : snprintf(expected + a, 40, "%s%lld", i ? "," : "", (long long)dim[i]);
    return FAIL(SODA_ERR_INPUT, "%s: %s: expected %s [%s], found %s %s", safetensors_path(r->batch),
                name, may_be_whole(name) ? "F32, I64 or I32" : "F32", expected,
                safetensors_dtype_name(t->dtype), safetensors_shape_text(t, found, sizeof found));
}

static soda_status find_sizes(replay *r)
{
    const safetensors_tensor *t;
    int64_t sample[4] = {-1, r->folder->unet.in_channels, -1, -1};
    TRY(find(r, "sample", 4, sample, &t));
    int64_t text[3] = {sample[0], -1, r->folder->unet.context};
    TRY(find(r, "encoder_hidden_states", 3, text, &t));
    if (r->folder->unet.in_channels != r->folder->unet.out_channels)
        return FAIL(
            SODA_ERR_UNSUPPORTED,
            "%s/unet/config.json: out_channels: expected as many as in_channels for replay, "
            "%lld, found %lld",
            r->folder->root, (long long)r->folder->unet.in_channels,
            (long long)r->folder->unet.out_channels);
    r->B = sample[0];
    r->C = sample[1];
    r->h = sample[2];
    r->w = sample[3];
    r->tokens = text[1];
    return SODA_OK;
}

/* Writes one input from the batch; pictures become channels-last. */
static soda_status write_input(const replay *r, const soda_step *step, const char *name, int rank,
                               int64_t *dim)
{
    const safetensors_tensor *t;
    soda_status s = SODA_OK;
    int64_t count = 1;
    TRY(find(r, name, rank, dim, &t));
    for (int i = 0; i < rank; i++) count *= dim[i];
    float *values = malloc(2 * (size_t)count * sizeof *values), *nhwc = values + count;
    if (!values) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY_TO(done, safetensors_read_finite(t, values));
    if (rank == 4) network_to_nhwc(values, dim[0], dim[1], dim[2] * dim[3], nhwc);
    TRY_TO(done, exec_write_f32(step->net.exec, name, rank == 4 ? nhwc : values, count));
done:
    free(values);
    return s;
}

static soda_status write_weights(const replay *r, const soda_step *step)
{
    if (safetensors_find(r->batch, "weight"))
        return write_input(r, step, "weight", 1, (int64_t[]){r->B});
    float *ones = malloc((size_t)r->B * sizeof *ones);
    if (!ones) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t b = 0; b < r->B; b++) ones[b] = 1;
    const soda_status s = exec_write_f32(step->net.exec, "weight", ones, r->B);
    free(ones);
    return s;
}

static soda_status write_inputs(const replay *r, const soda_step *step)
{
    int64_t picture[4] = {r->B, r->C, r->h, r->w};
    const soda_unet_config *unet = &r->folder->unet;
    TRY(write_input(r, step, "sample", 4, picture));
    TRY(write_input(r, step, "target", 4, picture));
    TRY(write_input(r, step, "timestep", 1, (int64_t[]){r->B}));
    TRY(write_input(r, step, "encoder_hidden_states", 3,
                    (int64_t[]){r->B, r->tokens, unet->context}));
    TRY(write_weights(r, step));
    if (!unet->text_time) return SODA_OK;
    TRY(write_input(r, step, "text_embeds", 2, (int64_t[]){r->B, unet->text_embeds}));
    return write_input(r, step, "time_ids", 2, (int64_t[]){r->B, UNET_TIME_IDS});
}

/* Initial values from the batch, for any subset of the trainable tensors. */
static soda_status read_adapter(replay *r)
{
    char unused[256];
    for (int i = 0; i < r->params.count; i++) {
        const params_tensor *t = &r->params.tensors[i];
        const safetensors_tensor *given;
        int64_t dim[2] = {t->shape.dim[0], t->shape.dim[1]};
        if (!safetensors_find(r->batch, t->name)) continue;
        TRY(find(r, t->name, t->shape.rank, dim, &given));
        TRY(safetensors_read_finite(given, r->params.host.value + t->offset));
    }
    if (safetensors_unused(r->batch, unused, sizeof unused) > 0)
        return FAIL(SODA_ERR_INPUT,
                    "%s: expected only tensors that replay uses with this "
                    "configuration, found also %s",
                    safetensors_path(r->batch), unused);
    return params_push(&r->params);
}

static soda_status open_networks(replay *r, const soda_backend *backend)
{
    const run_config *c = r->config;
    TRY(folder_open_unet(c->model, &r->folder));
    TRY(find_sizes(r));
    TRY(training_model_open(r->folder, c, backend, comm_self(), &r->model));
    TRY(params_create(r->model.layers, &c->adapter.options, backend, &r->params));
    TRY(findings_create(backend->device, 0, &r->found));
    if (c->train.loss == LOSS_DCO)
        TRY(backend->device->alloc(backend->device, (size_t)r->B * sizeof(float),
                                   (void **)&r->image));
    step_shape shape = step_shape_trained(c, r->B, r->tokens, r->image);
    shape.h = r->h, shape.w = r->w;
    TRY(step_open(&r->model, &r->params, &shape, &r->step));
    TRY(write_inputs(r, &r->step));
    if (c->train.loss == LOSS_DCO) {
        shape = step_shape_frozen(r->B, r->tokens, r->image);
        shape.h = r->h, shape.w = r->w;
        TRY(step_open(&r->model, &r->params, &shape, &r->frozen));
        TRY(write_inputs(r, &r->frozen));
        TRY(exec_run(r->frozen.net.exec));
    }
    return read_adapter(r);
}

static soda_status run_steps(replay *r)
{
    const run_config *c = r->config;
    const params_options options = {c->train.rotation, c->train.spectrum, c->train.clip};
    const int64_t n = r->B * r->C * r->h * r->w;
    for (int64_t i = 0; i < r->steps; i++) {
        TRY(exec_run(r->step.net.exec));
        TRY(exec_read_f32(r->step.net.exec, "loss", &r->loss[i], 1));
        if (!isfinite(r->loss[i]))
            return FAIL(SODA_ERR_NUMERIC, "step %lld: the loss is not finite", (long long)i);
        if (i == 0) {
            TRY(params_fetch(&r->params));
            TRY(exec_read_f32(r->step.net.exec, "prediction", r->prediction + n, n));
            network_to_nchw(r->prediction + n, r->B, r->C, r->h * r->w, r->prediction);
            memcpy(r->gradient, r->params.host.gradient, (size_t)r->params.length * sizeof(float));
        }
        TRY(params_step(&r->params, &options, i + 1, lr_schedule_factor(&c->train.schedule, i),
                        &r->found.at->report));
        TRY(findings_read(&r->found, 0));
        TRY(params_check(&r->params, &r->found.host->report));
        exec_params_changed(r->step.net.exec);
    }
    return params_fetch(&r->params);
}

static soda_status write_out(const replay *r, const char *path)
{
    const int count = 2 + 2 * r->params.count;
    safetensors_tensor *tensors = calloc((size_t)count, sizeof *tensors);
    char(*names)[280] = calloc((size_t)count, sizeof *names);
    soda_status s = SODA_OK;
    if (!tensors || !names) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    tensors[0] = (safetensors_tensor){.name = "prediction",
                                      .dtype = SAFETENSORS_F32,
                                      .rank = 4,
                                      .dim = {r->B, r->C, r->h, r->w},
                                      .data = r->prediction};
    tensors[1] = (safetensors_tensor){
        .name = "loss", .dtype = SAFETENSORS_F32, .rank = 1, .dim = {r->steps}, .data = r->loss};
    for (int i = 2; i < count; i++) {
        const params_tensor *t = &r->params.tensors[(i - 2) / 2];
        snprintf(names[i], sizeof names[i], "%s.%s", i % 2 ? "updated" : "grad", t->name);
        tensors[i] =
            (safetensors_tensor){.name = names[i],
                                 .dtype = SAFETENSORS_F32,
                                 .rank = t->shape.rank,
                                 .dim = {t->shape.dim[0], t->shape.dim[1]},
                                 .data = (i % 2 ? r->params.host.value : r->gradient) + t->offset};
    }
    s = safetensors_write(path, tensors, count, NULL, 0);
done:
    free(tensors);
    free(names);
    return s;
}

soda_status replay_run(const run_config *config, const soda_backend *backend,
                       const char *batch_path, int64_t steps, const char *out_path)
{
    replay r = {.config = config, .steps = steps};
    soda_status s = SODA_OK;
    if (!config->model)
        return FAIL(SODA_ERR_INPUT, "%s: model: expected a diffusers folder, found nothing",
                    config->file);
    if (config->adapter.text_encoder)
        return FAIL(SODA_ERR_INPUT,
                    "%s: adapter.text_encoder: expected false, since a replayed batch has no texts",
                    config->file);
    TRY_TO(done, safetensors_open(batch_path, &r.batch));
    TRY_TO(done, open_networks(&r, backend));
    r.prediction = malloc(2 * (size_t)(r.B * r.C * r.h * r.w) * sizeof *r.prediction);
    r.loss = malloc((size_t)steps * sizeof *r.loss);
    r.gradient = malloc((size_t)r.params.length * sizeof *r.gradient);
    if (!r.prediction || !r.loss || !r.gradient) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, run_steps(&r));
    TRY_TO(done, write_out(&r, out_path));
done:
    free(r.prediction);
    free(r.loss);
    free(r.gradient);
    step_close(&r.frozen);
    step_close(&r.step);
    backend->device->release(backend->device, r.image);
    findings_destroy(&r.found);
    params_destroy(&r.params);
    training_model_close(&r.model);
    folder_close(r.folder);
    safetensors_close(r.batch);
    return s;
}
