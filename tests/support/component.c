#include "support/component.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

static const double FP32_BOUND = 3e-5; /* the project's promise for one call of a network */
static const double BF16_FACTOR = 1.5; /* times PyTorch's own loss */

void component_open(component_model *model, const char *family, const soda_backend *backend,
                    soda_dtype dtype)
{
    char path[1024];
    *model = (component_model){.backend = backend, .dtype = dtype};
    snprintf(path, sizeof path, "%s/golden/tiny-%s", SODA_TEST_DIR, family);
    CHECK_OK(folder_open(path, &model->folder));
    snprintf(path, sizeof path, "%s/golden/%s-components.safetensors", SODA_TEST_DIR, family);
    CHECK_OK(safetensors_open(path, &model->golden));
}

void component_close(component_model *model)
{
    folder_close(model->folder);
    safetensors_close(model->golden);
}

void component_start(component_run *run, const component_model *model, folder_component component)
{
    *run = (component_run){.model = model};
    CHECK_OK(folder_weights_open(model->folder, component, &run->file));
    CHECK_OK(resident_create(run->model->backend->device, &run->residency));
    CHECK_OK(graph_create(model->dtype, &run->graph));
    run->builder = (soda_builder){.graph = run->graph, .source = run->file.source};
}

void component_ready(component_run *run)
{
    CHECK_OK(graph_status(run->graph));
    CHECK_OK(exec_plan(run->graph, run->model->backend, NULL, &run->exec));
    CHECK_OK(exec_commit(run->exec, run->residency));
}

void component_end(component_run *run)
{
    exec_destroy(run->exec);
    graph_destroy(run->graph);
    residency_close(run->residency);
    folder_weights_close(&run->file);
}

const safetensors_tensor *component_tensor(const component_model *model, const char *at,
                                           const char *name)
{
    const soda_path path = path_join("%s.%s", at, name);
    const safetensors_tensor *tensor = safetensors_find(model->golden, path.text);
    if (!tensor) fail_msg("%s: no tensor %s", safetensors_path(model->golden), path.text);
    return tensor;
}

/* The tensor's values as the graph holds them; for free(). */
static float *read_nhwc(const safetensors_tensor *t, int64_t *count)
{
    *count = 1;
    for (int i = 0; i < t->rank; i++) *count *= t->dim[i];
    float *x = malloc((size_t)*count * sizeof *x), *y = malloc((size_t)*count * sizeof *y);
    assert_non_null(x);
    assert_non_null(y);
    CHECK_OK(safetensors_read_f32(t, x));
    if (t->rank == 4) {
        const int64_t C = t->dim[1], HW = t->dim[2] * t->dim[3];
        for (int64_t i = 0; i < *count; i++)
            y[(i / (C * HW) * HW + i % HW) * C + i / HW % C] = x[i];
    } else {
        memcpy(y, x, (size_t)*count * sizeof *x);
    }
    free(x);
    return y;
}

void component_write(component_run *run, const char *at, const char *name)
{
    int64_t count;
    float *x = read_nhwc(component_tensor(run->model, at, name), &count);
    CHECK_OK(exec_write_f32(run->exec, name, x, count));
    free(x);
}

static double bound(const component_model *model, const char *at, const char *name)
{
    if (model->dtype != SODA_BF16) return FP32_BOUND;
    float error;
    const soda_path leaf = path_join("%s.bf16_error", name);
    CHECK_OK(safetensors_read_f32(component_tensor(model, at, leaf.text), &error));
    return BF16_FACTOR * (double)error;
}

void component_check(component_run *run, const char *at, const char *name)
{
    int64_t count;
    float *want = read_nhwc(component_tensor(run->model, at, name), &count);
    float *got = malloc((size_t)count * sizeof *got);
    assert_non_null(got);
    CHECK_OK(exec_read_f32(run->exec, name, got, count));
    const double error = check_relative_l2(got, want, count);
    const double most = bound(run->model, at, name);
    if (!(error <= most))
        fail_msg("%s.%s, %s on %s: relative error %.3g, expected at most %.3g", at, name,
                 dtype_name(run->model->dtype), run->model->backend->name, error, most);
    if (getenv("SODA_TEST_VERBOSE"))
        printf("%s.%s, %s on %s: relative error %.3g of %.3g\n", at, name,
               dtype_name(run->model->dtype), run->model->backend->name, error, most);
    free(want);
    free(got);
}
