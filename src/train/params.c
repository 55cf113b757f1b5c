#include "train/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optim/grad_clip.h"

static soda_status add_tensors(soda_params *t, const soda_layer *layer)
{
    for (int p = 0; p < SODA_PARAMS; p++) {
        char name[256];
        params_tensor *tensor = &t->tensors[t->count];
        tensor->name = strdup(soda_param_name(layer, p, name, sizeof name));
        if (!tensor->name) return FAIL(SODA_ERR_MEMORY, "out of memory");
        tensor->shape = soda_param_shape(layer, p);
        tensor->count = shape_count(&tensor->shape);
        tensor->rotation = p != SODA_DELTA;
        tensor->offset = t->total;
        t->total += tensor->count;
        t->matrix_count += tensor->rotation;
        t->count++;
    }
    return SODA_OK;
}

static int larger_first(const void *a, const void *b)
{
    const stiefel_f32 *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return x->X < y->X ? -1 : x->X > y->X;
}

static void list_matrices(soda_params *t)
{
    int at = 0;
    for (int i = 0; i < t->count; i++) {
        const params_tensor *tensor = &t->tensors[i];
        if (!tensor->rotation) continue;
        const int n = (int)tensor->shape.dim[0];
        t->matrices[at++] = (stiefel_f32){.n = n,
                                          .m = n,
                                          .X = t->value + tensor->offset,
                                          .G = t->gradient + tensor->offset,
                                          .Y = t->first + tensor->offset,
                                          .p = t->second + tensor->offset};
    }
    qsort(t->matrices, (size_t)at, sizeof *t->matrices, larger_first);
}

soda_status params_create(soda_layers *layers, float delta_init, soda_params *t)
{
    soda_status s = SODA_OK;
    const int count = layers_count(layers);
    *t = (soda_params){0};
    t->tensors = calloc((size_t)count * SODA_PARAMS + 1, sizeof *t->tensors);
    if (!t->tensors) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto failed;
    }
    for (int i = 0; i < count; i++) TRY_TO(failed, add_tensors(t, layers_at(layers, i)));
    const size_t total = (size_t)t->total + 1;
    t->value = calloc(total, sizeof(float));
    t->gradient = calloc(total, sizeof(float));
    t->first = calloc(total, sizeof(float));
    t->second = calloc(total, sizeof(float));
    t->matrices = calloc((size_t)t->matrix_count + 1, sizeof *t->matrices);
    t->drift = calloc((size_t)t->matrix_count + 1, sizeof *t->drift);
    if (!t->value || !t->gradient || !t->first || !t->second || !t->matrices || !t->drift) {
        s = FAIL(SODA_ERR_MEMORY, "no memory for %lld trainable numbers", (long long)t->total);
        goto failed;
    }
    for (int i = 0; i < t->count; i++)
        soda_param_init(layers_at(layers, i / SODA_PARAMS), i % SODA_PARAMS, delta_init,
                        t->value + t->tensors[i].offset);
    list_matrices(t);
    const int largest = t->matrix_count ? t->matrices[0].n : 1;
    TRY_TO(failed, stiefel_work_create(largest, largest, &t->work));
    return SODA_OK;
failed:
    params_destroy(t);
    return s;
}

void params_destroy(soda_params *t)
{
    for (int i = 0; t->tensors && i < t->count; i++) free(t->tensors[i].name);
    free(t->tensors);
    free(t->value);
    free(t->gradient);
    free(t->first);
    free(t->second);
    free(t->matrices);
    free(t->drift);
    stiefel_work_destroy(t->work);
    *t = (soda_params){0};
}

const params_tensor *params_find(const soda_params *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->tensors[i].name, name) == 0) return &t->tensors[i];
    return NULL;
}

const params_tensor *params_at(const soda_params *t, int64_t index)
{
    for (int i = 0; i < t->count; i++)
        if (index < t->tensors[i].offset + t->tensors[i].count) return &t->tensors[i];
    return NULL;
}

static soda_status check_finite(const soda_params *t)
{
    for (int64_t i = 0; i < t->total; i++)
        if (!isfinite(t->gradient[i]))
            return FAIL(SODA_ERR_NUMERIC, "the gradient of %s is not finite",
                        params_at(t, i)->name);
    return SODA_OK;
}

soda_status params_step(soda_params *t, const params_options *options, int64_t step,
                        double lr_factor, params_report *report)
{
    const grad_clip_tensor all = {t->gradient, t->total};
    stiefel_options rotation = options->rotation;
    adamw_options spectrum = options->spectrum;
    rotation.lr *= lr_factor;
    spectrum.lr *= lr_factor;
    TRY(check_finite(t));
    report->gradient_norm = grad_clip_norm(&all, 1);
    if (options->clip > 0)
        grad_clip_apply(&all, 1, grad_clip_factor(report->gradient_norm, options->clip));
    TRY(stiefel_step_f32(&rotation, step, t->matrices, t->matrix_count, t->work, t->drift));
    for (int i = 0; i < t->count; i++) {
        const params_tensor *x = &t->tensors[i];
        if (x->rotation) continue;
        adamw_step(&spectrum, step, x->count, t->value + x->offset, t->gradient + x->offset,
                   t->first + x->offset, t->second + x->offset);
    }
    report->orthogonality = 0;
    for (int i = 0; i < t->matrix_count; i++)
        report->orthogonality = fmax(report->orthogonality, t->drift[i]);
    return SODA_OK;
}
