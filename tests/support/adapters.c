#include "support/adapters.h"
#include "train/params_adapter.h"

#include <math.h>
#include <stdlib.h>

#include "support/check.h"

static const folder_component parts[] = {FOLDER_UNET, FOLDER_TEXT_ENCODER, FOLDER_TEXT_ENCODER_2};
static const char *const prefixes[] = {"unet.", "text_encoder.", "text_encoder_2."};

void test_adapter_open(test_adapter *t, const soda_folder *folder, const soda_method *method,
                       bool text)
{
    static const char *const attn = "attn";
    const method_options options = {.factors = {.rule = FACTORS_BALANCED}};
    *t = (test_adapter){.folder = folder, .method = method};
    CHECK_OK(targets_create(&attn, 1, &t->targets));
    CHECK_OK(layers_create(method, t->targets, &options, &t->layers));
    for (int i = 0; i < (text ? 1 + folder->texts : 1); i++) {
        layers_place place = {t->layers, prefixes[i], false, NULL};
        soda_builder b = {.adapt = layers_collect, .adapt_context = &place};
        CHECK_OK(folder_weights_open(folder, parts[i], &t->files[i]));
        CHECK_OK(graph_create(SODA_F32, &b.graph));
        b.source = t->files[i].source;
        CHECK_OK(folder_build(folder, parts[i], &b, 8, 8, 7));
        graph_destroy(b.graph);
    }
    CHECK_OK(params_create(t->layers, &options, backend_ref(), &t->params));
}

void test_adapter_close(test_adapter *t)
{
    params_destroy(&t->params);
    layers_destroy(t->layers);
    targets_destroy(t->targets);
    for (int i = 0; i < 3; i++) folder_weights_close(&t->files[i]);
}

/* Gram-Schmidt of the rows of I + angle * normals, twice, in fp64. */
static void rotate(float *R, int n, uint32_t seed, double angle)
{
    double *x = malloc((size_t)(n * n) * sizeof *x);
    float *noise = malloc((size_t)(n * n) * sizeof *noise);
    assert_true(x && noise);
    check_fill_normal(noise, n * n, seed, (float)angle);
    for (int i = 0; i < n * n; i++) x[i] = (double)noise[i] + (i % (n + 1) == 0);
    for (int i = 0; i < n; i++)
        for (int pass = 0; pass < 2; pass++) {
            for (int k = 0; k < i; k++) {
                double dot = 0;
                for (int j = 0; j < n; j++) dot += x[i * n + j] * x[k * n + j];
                for (int j = 0; j < n; j++) x[i * n + j] -= dot * x[k * n + j];
            }
            double norm = 0;
            for (int j = 0; j < n; j++) norm += x[i * n + j] * x[i * n + j];
            for (int j = 0; j < n; j++) x[i * n + j] /= sqrt(norm);
        }
    for (int i = 0; i < n * n; i++) R[i] = (float)x[i];
    free(x);
    free(noise);
}

void test_adapter_randomize(test_adapter *t, uint32_t seed, double angle, double shift)
{
    for (int i = 0; i < t->params.count; i++) {
        const params_tensor *tensor = &t->params.tensors[i];
        float *value = t->params.host.value + tensor->offset;
        if (tensor->class == METHOD_ROTATION)
            rotate(value, (int)tensor->shape.dim[0], seed + (uint32_t)i, angle);
        else
            check_fill_normal(value, tensor->count, seed + (uint32_t)i, (float)shift);
    }
}

soda_adapter *test_adapter_make(const test_adapter *t)
{
    soda_adapter *adapter;
    char hex[SHA256_HEX];
    CHECK_OK(adapter_base_hash(t->folder, t->files[1].set != NULL, MODEL_HASH, hex));
    CHECK_OK(params_adapter(&t->params, NULL, t->method, hex, &adapter));
    return adapter;
}

void test_adapter_write(const test_adapter *t, const char *path)
{
    soda_adapter *adapter = test_adapter_make(t);
    CHECK_OK(adapter_write(path, adapter));
    adapter_close(adapter);
}
