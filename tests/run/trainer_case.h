/* trainer_case.h: short training runs of a model on the six pictures of the quickstart. */
#pragma once

#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "interop/adapter_file.h"
#include "io/checkpoint.h"
#include "run/trainer.h"
#include "support/files.h"
#include "support/tested.h"

#define TINY SODA_TEST_DIR "/golden/tiny-sd1"
#define TINY_XL SODA_TEST_DIR "/golden/tiny-sdxl"
#define BUNDLED SODA_SOURCE_DIR "/configs/quickstart/model"

/* Trains `model` in FOLDER/NAME for `steps` steps; `sets` as on the command line, ended by NULL.
 * Collective over `comm`. */
static inline soda_status trainer_case_of(soda_comm *comm, const soda_backend *backend,
                                          const char *folder, const char *name, const char *model,
                                          int steps, const char *const *sets)
{
    char text[2048];
    int count = 0;
    run_config *config;
    const int n = snprintf(text, sizeof text,
                           "model: %s\n"
                           "data: {path: %s/configs/quickstart/images/train, resolution: 32}\n"
                           "train:\n"
                           "  steps: %d\n"
                           "  batch: 1\n"
                           "  global_batch: 2\n"
                           "  optimizer: {rotation: {lr: 1.0e-3}, spectrum: {lr: 1.0e-3}}\n"
                           "output: %s/%s\n",
                           model, SODA_SOURCE_DIR, steps, folder, name);
    while (sets && sets[count]) count++;
    CHECK_OK(run_config_parse(text, (size_t)n, "test.yaml", sets, count, &config));
    const soda_status s = trainer_run(config, false, backend, comm);
    run_config_destroy(config);
    return s;
}

/* By this process alone. */
static inline soda_status trainer_case(const soda_backend *backend, const char *folder,
                                       const char *name, const char *model, int steps,
                                       const char *const *sets)
{
    return trainer_case_of(comm_self(), backend, folder, name, model, steps, sets);
}

/* The newest checkpoints of FOLDER/A and FOLDER/B have the same adapters and optimizer state. */
static inline void check_same_state(const char *folder, const char *a, const char *b)
{
    char path[1024], unused[1024];
    soda_checkpoint c[2];
    bool found;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/checkpoints", folder, i ? b : a);
        CHECK_OK(checkpoint_read_newest(path, &c[i], unused, sizeof unused, &found));
        assert_true(found);
    }
    assert_int_equal(c[0].step, c[1].step);
    assert_int_equal(c[0].count, c[1].count);
    assert_true(c[0].count > 0);
    for (int i = 0; i < c[0].count; i++) {
        const checkpoint_tensor *x = &c[0].tensors[i], *y = &c[1].tensors[i];
        const size_t bytes = (size_t)(x->dim[0] * x->dim[1]) * sizeof(float);
        assert_string_equal(x->name, y->name);
        assert_memory_equal(x->value, y->value, bytes);
        assert_memory_equal(x->first, y->first, bytes);
        assert_memory_equal(x->second, y->second, bytes);
    }
    checkpoint_free(&c[0]);
    checkpoint_free(&c[1]);
}

/* ||a - b|| / ||b|| of all tensors of two adapters as one vector. */
static inline double adapter_distance(const char *folder, const char *a, const char *b)
{
    char path[1024];
    soda_adapter *adapter[2];
    double difference = 0, size = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/adapter.safetensors", folder, i ? b : a);
        CHECK_OK(adapter_read(path, &adapter[i]));
    }
    assert_int_equal(adapter[0]->count, adapter[1]->count);
    for (int l = 0; l < adapter[0]->count; l++) {
        const adapter_layer *x = &adapter[0]->layers[l], *y = &adapter[1]->layers[l];
        assert_string_equal(x->name, y->name);
        for (int p = 0; p < METHOD_TENSORS && y->value[p]; p++)
            for (int64_t i = 0; i < shape_count(&y->shape[p]); i++) {
                const double want = (double)y->value[p][i];
                difference += pow((double)x->value[p][i] - want, 2);
                size += want * want;
            }
    }
    for (int i = 0; i < 2; i++) adapter_close(adapter[i]);
    assert_true(size > 0);
    return sqrt(difference / size);
}

static inline int trainer_setup(void **state)
{
    const int result = files_setup(state);
    log_set_quiet(true);
    setenv("SODA_CACHE", *state, 1);
    return result;
}
