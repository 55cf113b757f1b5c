/* step_case.h: the network of a training step of a tiny model, with inputs. */
#pragma once

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/clip.h"
#include "train/step.h"

enum { BATCH = 2, TOKENS = 4, FAMILIES = 2, METHODS = 2 };

static const char *const families[FAMILIES] = {"sd1", "sdxl"};
static const char *const methods[METHODS] = {"soda_svd", "soda_lq"};
static const float weights[BATCH] = {0.7f, 1.9f};

typedef struct {
    soda_folder *folder;
    run_config *config;
    training_model model;
    soda_params params;
    double *value, *gradient; /* of the trainable tensors, as an fp64 graph has them */
} subject;

/* A tiny model with adapters in U-Net and text encoders, none of them at its start: factors are not
 * even orthogonal, since a gradient is one of all entries. */
static inline void subject_open(subject *s, const char *family, const char *method,
                                const soda_backend *backend, soda_dtype dtype)
{
    char text[128], path[1024];
    const int n = snprintf(text, sizeof text, "adapter: {method: %s, text_encoder: true}", method);
    snprintf(path, sizeof path, "%s/golden/tiny-%s", SODA_TEST_DIR, family);
    CHECK_OK(folder_open(path, &s->folder));
    CHECK_OK(run_config_parse(text, (size_t)n, "test.yaml", NULL, 0, &s->config));
    s->config->train.dtype = dtype;
    CHECK_OK(training_model_open(s->folder, s->config, backend, comm_self(), &s->model));
    CHECK_OK(params_create(s->model.layers, &s->config->adapter.options, backend, &s->params));
    const soda_params *t = &s->params;
    s->value = calloc((size_t)t->length, sizeof *s->value);
    s->gradient = calloc((size_t)t->length, sizeof *s->gradient);
    float *noise = malloc((size_t)t->total * sizeof *noise);
    assert_true(s->value && s->gradient && noise);
    check_fill_normal(noise, t->total, 5, 0.1f);
    int64_t drawn = 0; /* the gaps between tensors depend on the device */
    for (int i = 0; i < t->count; i++)
        for (int64_t k = 0; k < t->tensors[i].count; k++) {
            const int64_t at = t->tensors[i].offset + k;
            t->host.value[at] += noise[drawn++];
            s->value[at] = (double)t->host.value[at];
        }
    free(noise);
    CHECK_OK(params_push(&s->params));
}

static inline void subject_close(subject *s)
{
    free(s->value);
    free(s->gradient);
    params_destroy(&s->params);
    training_model_close(&s->model);
    run_config_destroy(s->config);
    folder_close(s->folder);
}

static inline void write_normal(soda_step *step, const char *name, int64_t count, uint32_t seed)
{
    float *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    check_fill_normal(x, count, seed, 1);
    CHECK_OK(exec_write_f32(step->net.exec, name, x, count));
    free(x);
}

/* Everything but params and the reference of DCO. The two texts end at different places. */
static inline void write_inputs(const subject *s, soda_step *step)
{
    static const char *const scopes[2] = {"text_encoder.", "text_encoder_2."};
    static const int32_t ids[BATCH * TOKENS] = {638, 320, 639, 639, 638, 17, 501, 639};
    static const float timesteps[BATCH] = {37, 801},
                       time_ids[BATCH * UNET_TIME_IDS] = {64, 48, 3, 0, 32, 48,
                                                          32, 32, 0, 5, 32, 48};
    soda_exec *exec = step->net.exec;
    const int64_t count = BATCH * step->shape.h * step->shape.w * s->folder->unet.in_channels;
    write_normal(step, "sample", count, 1);
    write_normal(step, "target", count, 2);
    CHECK_OK(exec_write_f32(exec, "timestep", timesteps, BATCH));
    CHECK_OK(exec_write_f32(exec, "weight", weights, BATCH));
    if (s->folder->xl) CHECK_OK(exec_write_f32(exec, "time_ids", time_ids, BATCH * UNET_TIME_IDS));
    for (int e = 0; e < s->folder->texts; e++)
        CHECK_OK(
            clip_write(exec, step->net.graph, scopes[e], &s->folder->text[e], ids, BATCH, TOKENS));
}

/* Forward alone, or with gradients, for latents of 2 x 3 unless `side` says more. */
static inline step_shape shape_of(bool gradients, int64_t side)
{
    return (step_shape){.batch = BATCH,
                        .h = side ? side : 2,
                        .w = side ? side : 3,
                        .tokens = TOKENS,
                        .adapted = true,
                        .gradients = gradients};
}

static inline void open_step(const subject *s, step_shape shape, soda_step *step)
{
    CHECK_OK(step_open(&s->model, &s->params, &shape, step));
    write_inputs(s, step);
}
