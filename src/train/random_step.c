#include "train/random_step.h"

#include <stdlib.h>

#include "backend/residency.h"
#include "model/random_weights.h"

/* The adapted layers, with random numbers for bases. */
static soda_status adapt(const soda_method *method, random_step *r)
{
    static const char *const attn[] = {"attn"};
    TRY(targets_create(attn, 1, &r->model.targets));
    const method_options options = {.factors = {.rule = FACTORS_PAPER}};
    TRY(layers_create(method, r->model.targets, &options, &r->model.layers));
    TRY(training_model_collect(&r->model));
    TRY(training_model_draw_bases(&r->model, r->source));
    TRY(params_create(r->model.layers, &options, r->backend, &r->params));
    TRY(r->backend->connect(r->backend->device, r->comm, &r->exchange));
    TRY(findings_create(r->backend->device, 1, &r->found));
    return reducer_create(REDUCE_EXACT, r->params.length, r->backend, r->exchange, &r->reducer);
}

/* Collective. */
static soda_status open_residency(const random_step_options *o, random_step *r)
{
    soda_device *device = r->backend->device;
    soda_residency **residency = &r->model.residency;
    if (o->policy == WEIGHTS_NODE)
        return comm_agree(r->comm, resident_create_shared(device, r->comm, residency));
    if (o->policy == WEIGHTS_SHARD && r->comm->size > 1)
        return sharded_create(r->backend, r->comm, &(sharded_options){r->comm->size, o->ring_bytes},
                              residency);
    return comm_agree(r->comm, resident_create(device, residency));
}

/* Local. */
static soda_status plan_networks(const random_step_options *o, random_step *r)
{
    if (o->method) TRY(adapt(o->method, r));
    const step_shape shape = {.batch = o->batch,
                              .h = o->side,
                              .w = o->side,
                              .tokens = o->tokens,
                              .adapted = o->method != NULL,
                              .gradients = o->method != NULL};
    return step_plan(&r->model, &r->params, &shape, &r->step);
}

soda_status random_step_plan(const random_step_options *options, const soda_backend *backend,
                             soda_comm *comm, random_step *step)
{
    *step = (random_step){
        .backend = backend,
        .comm = comm,
        .folder.unet = *options->unet,
        .model = {.backend = backend, .dtype = options->dtype},
        .rules = {.rotation = {.kind = STIEFEL_ADAM,
                               .lr = options->lr,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-5},
                  .spectrum = {options->lr, 0.9, 0.999, 1e-8, 1e-4},
                  .clip = 1},
    };
    TRY(comm_agree(comm, random_weights_create(options->weights, options->vectors, &step->source)));
    step->model.folder = &step->folder;
    step->model.source[FOLDER_UNET] = step->source;
    TRY(open_residency(options, step));
    return comm_agree(comm, plan_networks(options, step));
}

/* Numbers from 0 to 1, which repeat after 17 and begin elsewhere on each rank; the first, the only
 * weight of a loss where the batch is 1, is not 0. */
static soda_status fill_input(const random_step *r, const soda_value *value)
{
    const int64_t count = shape_count(&value->shape);
    float *values = malloc((size_t)count * sizeof *values);
    if (!values) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++) values[i] = (float)((i + r->comm->rank + 5) % 17) / 17;
    const soda_status s = exec_write_f32(r->step.net.exec, value->name, values, count);
    free(values);
    return s;
}

static soda_status fill_inputs(const random_step *r)
{
    const soda_graph *graph = r->step.net.graph;
    for (soda_id v = 0; v < graph_value_count(graph); v++) {
        const soda_value *value = graph_value(graph, v);
        if (value->kind == VALUE_INPUT && value->view_of == NO_VALUE) TRY(fill_input(r, value));
    }
    return SODA_OK;
}

soda_status random_step_commit(random_step *step)
{
    TRY(comm_agree(step->comm, step_commit(&step->step, step->backend)));
    return comm_agree(step->comm, fill_inputs(step));
}

enum { BEGUN, RAN, REDUCED, DONE }; /* marks on the device */

static soda_status run_network(random_step *r)
{
    soda_device *d = r->backend->device;
    TRY(exec_run(r->step.net.exec));
    return d->wait(d);
}

/* What follows the network in training. */
static soda_status finish(random_step *r, random_step_times *times)
{
    soda_device *d = r->backend->device;
    const update_notes notes = findings_notes(&r->found);
    TRY(reducer_clear(&r->reducer));
    TRY(findings_clear(&r->found));
    TRY(reducer_add(&r->reducer, r->params.at.gradient, &notes));
    TRY(reducer_finish(&r->reducer, 1 / (float)r->comm->size, r->params.at.gradient));
    TRY(d->mark(d, REDUCED));
    TRY(params_step(&r->params, &r->rules, ++r->done, 1, &r->found.at->report));
    TRY(findings_read(&r->found, 1));
    TRY(d->mark(d, DONE));
    TRY(params_check(&r->params, &r->found.host->report));
    exec_params_changed(r->step.net.exec);
    TRY(d->elapsed(d, RAN, REDUCED, &times->reduce_s));
    return d->elapsed(d, REDUCED, DONE, &times->update_s);
}

soda_status random_step_run(random_step *step, random_step_times *times)
{
    soda_device *d = step->backend->device;
    *times = (random_step_times){0};
    TRY(d->mark(d, BEGUN));
    /* agreed on: waiting for a slower rank is not part of the reduction */
    TRY(comm_agree(step->comm, run_network(step)));
    TRY(d->mark(d, RAN));
    if (step->exchange) TRY(finish(step, times));
    TRY(d->elapsed(d, BEGUN, RAN, &times->network_s));
    return d->elapsed(d, BEGUN, step->exchange ? DONE : RAN, &times->all_s);
}

void random_step_close(random_step *step)
{
    /* first: then nothing waits for lost ranks */
    if (step->exchange) step->exchange->close(step->exchange);
    step_close(&step->step);
    findings_destroy(&step->found);
    reducer_destroy(&step->reducer);
    params_destroy(&step->params);
    training_model_close(&step->model);
    random_weights_destroy(step->source);
    *step = (random_step){0};
}
