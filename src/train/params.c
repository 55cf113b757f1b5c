#include "train/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Floats from the start of a tensor of `count` to that of the next. */
static int64_t gap(const soda_params *t, int64_t count)
{
    return (int64_t)(device_align(t->backend->device, (size_t)count * sizeof(float)) /
                     sizeof(float));
}

static soda_status add_tensors(soda_params *t, const soda_layer *layer)
{
    for (int p = 0; p < t->each; p++) {
        char name[256];
        params_tensor *tensor = &t->tensors[t->count];
        tensor->name = strdup(method_tensor_name(layer, p, name, sizeof name));
        if (!tensor->name) return FAIL(SODA_ERR_MEMORY, "out of memory");
        tensor->shape = method_tensor_shape(layer, p);
        tensor->count = shape_count(&tensor->shape);
        tensor->class = layer->method->tensors[p]->class;
        tensor->offset = t->length;
        t->total += tensor->count;
        t->length += gap(t, tensor->count);
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

/* The rotations, largest first. */
static soda_status open_rotations(soda_params *t)
{
    int count = 0;
    stiefel_f32 *matrices = calloc((size_t)t->count + 1, sizeof *matrices);
    if (!matrices) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < t->count; i++) {
        const params_tensor *tensor = &t->tensors[i];
        if (tensor->class != METHOD_ROTATION) continue;
        const int n = (int)tensor->shape.dim[0];
        matrices[count++] = (stiefel_f32){.n = n,
                                          .m = n,
                                          .X = t->at.value + tensor->offset,
                                          .G = t->at.gradient + tensor->offset,
                                          .Y = t->at.first + tensor->offset,
                                          .p = t->at.second + tensor->offset};
    }
    qsort(matrices, (size_t)count, sizeof *matrices, larger_first);
    const soda_status s =
        t->backend->update->rotations_open(t->backend->device, matrices, count, &t->rotations);
    free(matrices);
    return s;
}

static soda_status open_spectra(soda_params *t)
{
    int count = 0;
    update_vector *list = calloc((size_t)t->count + 1, sizeof *list);
    if (!list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < t->count; i++) {
        const params_tensor *x = &t->tensors[i];
        if (x->class != METHOD_SPECTRUM) continue;
        list[count++] = (update_vector){.n = x->count,
                                        .x = t->at.value + x->offset,
                                        .g = t->at.gradient + x->offset,
                                        .m = t->at.first + x->offset,
                                        .v = t->at.second + x->offset};
    }
    const soda_status s =
        t->backend->update->vectors_open(t->backend->device, list, count, &t->spectra);
    free(list);
    return s;
}

enum { ARRAYS = 4 };

static float **array_of(params_arrays *arrays, int i)
{
    float **const all[ARRAYS] = {&arrays->value, &arrays->gradient, &arrays->first,
                                 &arrays->second};
    return all[i];
}

static size_t array_bytes(const soda_params *t)
{
    return (size_t)(t->length + gap(t, 1)) * sizeof(float); /* the loss behind the gradients */
}

size_t params_bytes(const soda_params *t) { return ARRAYS * array_bytes(t); }

/* Zeros everywhere. */
static soda_status allocate(soda_params *t)
{
    soda_device *d = t->backend->device;
    const size_t bytes = array_bytes(t);
    for (int i = 0; i < ARRAYS; i++) {
        float **at = array_of(&t->at, i), **host = array_of(&t->host, i);
        TRY(d->alloc(d, bytes, (void **)at));
        TRY(d->clear(d, *at, bytes));
        *host = d->host ? *at : calloc(1, bytes);
        if (!*host) return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    return d->alloc(d, sizeof *t->rules, (void **)&t->rules);
}

soda_status params_create(soda_layers *layers, const method_options *options,
                          const soda_backend *backend, soda_params *t)
{
    soda_status s = SODA_OK;
    const soda_method *method = layers_method(layers);
    const int count = layers_count(layers);
    *t = (soda_params){.backend = backend, .each = method_tensors(method)};
    t->tensors = calloc((size_t)(count * t->each) + 1, sizeof *t->tensors);
    if (!t->tensors) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto failed;
    }
    for (int i = 0; i < count; i++) TRY_TO(failed, add_tensors(t, layers_at(layers, i)));
    TRY_TO(failed, allocate(t));
    for (int i = 0; i < t->count; i++)
        method->tensors[i % t->each]->start(options, &t->tensors[i].shape,
                                            t->host.value + t->tensors[i].offset);
    TRY_TO(failed, params_push(t));
    TRY_TO(failed, open_rotations(t));
    TRY_TO(failed, open_spectra(t));
    return SODA_OK;
failed:
    params_destroy(t);
    return s;
}

void params_destroy(soda_params *t)
{
    for (int i = 0; t->tensors && i < t->count; i++) free(t->tensors[i].name);
    free(t->tensors);
    for (int i = 0; i < ARRAYS; i++) {
        if (!t->backend) break;
        float *at = *array_of(&t->at, i), *host = *array_of(&t->host, i);
        if (host != at) free(host);
        t->backend->device->release(t->backend->device, at);
    }
    if (t->backend) {
        recorded_forget(&t->recorded, t->backend->device);
        t->backend->update->rotations_close(t->backend->device, t->rotations);
        t->backend->update->vectors_close(t->backend->device, t->spectra);
        t->backend->device->release(t->backend->device, t->rules);
    }
    *t = (soda_params){0};
}

soda_status params_fetch(soda_params *t)
{
    soda_device *d = t->backend->device;
    for (int i = 0; i < ARRAYS && !d->host; i++)
        TRY(d->download(d, *array_of(&t->host, i), *array_of(&t->at, i), array_bytes(t)));
    return SODA_OK;
}

soda_status params_push(soda_params *t)
{
    soda_device *d = t->backend->device;
    for (int i = 0; i < ARRAYS && !d->host; i++)
        TRY(d->upload(d, *array_of(&t->at, i), *array_of(&t->host, i), array_bytes(t)));
    return SODA_OK;
}

/* Params appear in a graph nearly in the order of the list: the search starts at *near. */
static const params_tensor *find_near(const soda_params *t, const char *name, int *near)
{
    for (int tried = 0; tried < t->count; tried++, *near = (*near + 1) % t->count)
        if (strcmp(t->tensors[*near].name, name) == 0) return &t->tensors[*near];
    return NULL;
}

/* The place of a value in the arrays; *memory is NULL if it is none of theirs. */
static soda_status place_of(const soda_params *t, const soda_value *v, bool gradients, int *near,
                            float **memory)
{
    static const char prefix[] = "grad.";
    const bool param = v->kind == VALUE_PARAM && v->view_of == NO_VALUE;
    *memory = NULL;
    if (!v->name || v->dtype != SODA_F32 || !(param || (v->output && gradients))) return SODA_OK;
    if (!param && strcmp(v->name, "loss") == 0) *memory = t->at.gradient + t->length;
    const bool gradient = !param && strncmp(v->name, prefix, sizeof prefix - 1) == 0;
    if (!param && !gradient) return SODA_OK;
    const char *name = v->name + (gradient ? sizeof prefix - 1 : 0);
    const params_tensor *tensor = find_near(t, name, near);
    if (!tensor) return FAIL(SODA_ERR_INTERNAL, "%s is not in the list of trainable tensors", name);
    *memory = (gradient ? t->at.gradient : t->at.value) + tensor->offset;
    return SODA_OK;
}

soda_status params_bind(const soda_params *t, const soda_graph *graph, bool gradients,
                        exec_binding **list, int *count)
{
    int near = 0;
    soda_status s = SODA_OK;
    *count = 0;
    *list = malloc((size_t)(2 * t->count + 1) * sizeof **list);
    if (!*list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (soda_id v = 0; v < graph_value_count(graph); v++) {
        float *memory;
        TRY_TO(failed, place_of(t, graph_value(graph, v), gradients, &near, &memory));
        if (memory) (*list)[(*count)++] = (exec_binding){v, memory};
    }
    return SODA_OK;
failed:
    free(*list);
    *list = NULL;
    return s;
}

void params_layer(const soda_params *t, int layer, const float *values[METHOD_TENSORS])
{
    for (int p = 0; p < t->each; p++)
        values[p] = t->host.value + t->tensors[layer * t->each + p].offset;
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

static soda_status queue_step(void *context)
{
    const soda_params *t = context;
    soda_device *d = t->backend->device;
    const soda_update *u = t->backend->update;
    const update_rules *rules = t->rules;
    float *gradient = t->at.gradient;
    double *norm = &t->report->gradient_norm;
    TRY(u->scale(d, 1, gradient + t->length, &t->report->loss, 1));
    TRY(u->norm(d, gradient, t->length, norm));
    TRY(u->clip(d, norm, &rules->clip, gradient, t->length));
    TRY(u->rotations_step(d, t->rotations, &rules->rotation, norm, &t->report->orthogonality));
    return u->adamw(d, t->spectra, &rules->spectrum, norm);
}

soda_status params_step(soda_params *t, const params_options *options, int64_t step,
                        double lr_factor, params_report *report)
{
    soda_device *d = t->backend->device;
    stiefel_options rotation = options->rotation;
    adamw_options spectrum = options->spectrum;
    rotation.lr *= lr_factor;
    spectrum.lr *= lr_factor;
    const update_rules rules = {stiefel_rule_of(&rotation, step), adamw_rule_of(&spectrum, step),
                                options->clip};
    TRY(d->upload(d, t->rules, &rules, sizeof rules));
    if (t->report != report) recorded_forget(&t->recorded, d);
    t->report = report;
    void *const memory[] = {report};
    const device_work work = {queue_step, t, memory, 1};
    return recorded_queue(&t->recorded, d, &work, 1);
}

soda_status params_sum(const soda_params *t, params_sums *sums)
{
    soda_device *d = t->backend->device;
    const soda_update *u = t->backend->update;
    TRY(u->checksum(d, t->at.value, t->length, &sums->value));
    TRY(u->checksum(d, t->at.first, t->length, &sums->first));
    return u->checksum(d, t->at.second, t->length, &sums->second);
}

soda_status params_check(soda_params *t, const params_report *report)
{
    int64_t i = 0;
    if (isfinite(report->gradient_norm)) return SODA_OK;
    TRY(params_fetch(t));
    while (isfinite(t->host.gradient[i])) i++;
    return FAIL(SODA_ERR_NUMERIC, "the gradient of %s is not finite", params_at(t, i)->name);
}
