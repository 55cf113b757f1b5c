#include "exec/exec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backend/recorded.h"
#include "core/arena.h"
#include "core/pulse.h"
#include "exec/elements.h"
#include "exec/plan.h"

/* Nodes of the prologue run before all others: the others are what each run repeats. */
struct soda_exec {
    const soda_graph *graph;
    const soda_backend *backend;
    soda_plan plan;
    soda_call *calls; /* by node */
    int *order;       /* nodes by step */
    int steps, prologue_steps;
    void **bound; /* by value: memory of the caller, or NULL */
    soda_weights *weights;
    soda_residency *residency; /* NULL: not committed */
    char *arena;
    bool params_changed;
    int64_t runs;
    int first_step;            /* of the run in progress: behind the prologue, unless it is due */
    device_work appended;      /* queue NULL: none */
    recorded_work recorded[2]; /* runs without the prologue, and with it */
    double *seconds;           /* by node; NULL while no profile is wanted */
};

static void set_order(soda_exec *exec)
{
    for (int prologue = 1; prologue >= 0; prologue--) {
        for (int n = 0; n < exec->graph->node_count; n++)
            if (exec->plan.alive[n] && exec->graph->nodes[n].prologue == prologue)
                exec->order[exec->steps++] = n;
        if (prologue) exec->prologue_steps = exec->steps;
    }
}

static void describe(const soda_exec *exec, int n, soda_call *call)
{
    const soda_graph *g = exec->graph;
    const soda_node *node = &g->nodes[n];
    *call = (soda_call){.attr = &node->attr,
                        .inputs = op_rows[node->op].most_inputs,
                        .outputs = op_rows[node->op].outputs};
    for (int i = 0; i < call->inputs; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = &g->values[node->in[i]];
        const soda_value *root = &g->values[graph_root(g, node->in[i])];
        call->in[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
        if (root->kind != VALUE_WEIGHT) continue;
        call->weight[i] = &root->weight;
        if (exec->backend->device->host) call->in[i].data = root->weight.source.data;
    }
    for (int i = 0; i < call->outputs; i++) {
        const soda_value *v = &g->values[node->out[i]];
        call->out[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
    }
}

static soda_status prepare(soda_exec *exec, size_t *scratch_bytes)
{
    for (int step = 0; step < exec->steps; step++) {
        const int n = exec->order[step];
        soda_call *call = &exec->calls[n];
        describe(exec, n, call);
        call->step = step;
        exec->weights->flops += graph_node_cost(exec->graph, n).flops;
        const soda_kernel *kernel = exec->backend->kernel[exec->graph->nodes[n].op];
        if (kernel->prepare) TRY(kernel->prepare(call, exec->weights));
        scratch_bytes[n] = call->scratch_bytes;
    }
    return weights_cut(exec->weights, WEIGHTS_VISIT_BYTES);
}

static void *address(const soda_exec *exec, soda_id value)
{
    const size_t offset = exec->plan.offset[value];
    void *const bound = exec->bound[graph_root(exec->graph, value)];
    if (bound) return bound;
    return offset == SIZE_MAX ? NULL : exec->arena + offset;
}

static void set_addresses(soda_exec *exec)
{
    for (int n = 0; n < exec->graph->node_count; n++) {
        const soda_node *node = &exec->graph->nodes[n];
        soda_call *call = &exec->calls[n];
        if (!exec->plan.alive[n]) continue;
        for (int i = 0; i < call->inputs; i++)
            if (node->in[i] != NO_VALUE && !call->weight[i])
                call->in[i].data = address(exec, node->in[i]);
        for (int i = 0; i < call->outputs; i++) call->out[i].data = address(exec, node->out[i]);
        call->scratch = exec->arena + exec->plan.scratch_offset[n];
    }
}

static soda_status bind(soda_exec *exec, const exec_binding *binding)
{
    const soda_graph *g = exec->graph;
    const soda_id root = graph_root(g, binding->value);
    const soda_value *v = &g->values[binding->value];
    const bool leaf = v->kind == VALUE_INPUT || v->kind == VALUE_PARAM;
    if (!leaf && !v->output)
        return FAIL(SODA_ERR_INTERNAL, "exec: only leaves and outputs can be bound to memory");
    if (!binding->memory || (uintptr_t)binding->memory % exec->backend->device->alignment)
        return FAIL(SODA_ERR_INTERNAL, "exec: %s: memory at %p cannot be used", v->name,
                    binding->memory);
    if (exec->bound[root] && exec->bound[root] != binding->memory)
        return FAIL(SODA_ERR_INTERNAL, "exec: %s has other memory already", v->name);
    exec->bound[root] = binding->memory;
    exec->plan.elsewhere[root] = true;
    return SODA_OK;
}

static soda_status allocate(soda_exec *exec)
{
    const size_t nodes = (size_t)exec->graph->node_count + 1;
    exec->calls = calloc(nodes, sizeof *exec->calls);
    exec->order = calloc(nodes, sizeof *exec->order);
    exec->bound = calloc((size_t)exec->graph->value_count + 1, sizeof *exec->bound);
    if (!exec->calls || !exec->order || !exec->bound) return FAIL(SODA_ERR_MEMORY, "out of memory");
    return weights_create(&exec->weights);
}

soda_status exec_plan(const soda_graph *graph, const soda_backend *backend,
                      const exec_bindings *bound, soda_exec **exec)
{
    *exec = NULL;
    TRY(graph_status(graph));
    soda_exec *e = calloc(1, sizeof *e);
    size_t *scratch_bytes = calloc((size_t)graph->node_count + 1, sizeof *scratch_bytes);
    soda_status s = SODA_OK;
    if (e) *e = (soda_exec){.graph = graph, .backend = backend, .params_changed = true};
    if (!e || !scratch_bytes) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, allocate(e));
    TRY_TO(done, plan_create(graph, backend->device->alignment, &e->plan));
    for (int i = 0; bound && i < bound->count; i++) TRY_TO(done, bind(e, &bound->list[i]));
    set_order(e);
    TRY_TO(done, prepare(e, scratch_bytes));
    TRY_TO(done, plan_memory(graph, scratch_bytes, &e->plan));
done:
    free(scratch_bytes);
    if (s != SODA_OK)
        exec_destroy(e);
    else
        *exec = e;
    return s;
}

soda_status exec_commit(soda_exec *exec, soda_residency *residency)
{
    soda_device *d = exec->backend->device;
    soda_weights *w = exec->weights;
    TRY(residency->fill(residency, w));
    for (int u = 0; u < w->use_count; u++) {
        const weights_use *use = &w->uses[u];
        exec->calls[exec->order[use->step]].form[use->input] = residency->address(residency, w, u);
    }
    TRY(d->alloc(d, exec->plan.bytes, (void **)&exec->arena));
    set_addresses(exec);
    exec->residency = residency;
    return SODA_OK;
}

void exec_destroy(soda_exec *exec)
{
    if (!exec) return;
    for (int n = 0; exec->calls && n < exec->graph->node_count; n++) {
        const soda_kernel *kernel = exec->backend->kernel[exec->graph->nodes[n].op];
        if (exec->calls[n].state && kernel->release) kernel->release(&exec->calls[n]);
    }
    for (int i = 0; i < 2; i++) recorded_forget(&exec->recorded[i], exec->backend->device);
    exec->backend->device->release(exec->backend->device, exec->arena);
    plan_destroy(&exec->plan);
    weights_destroy(exec->weights);
    free(exec->order);
    free(exec->bound);
    free(exec->calls);
    free(exec->seconds);
    free(exec);
}

size_t exec_arena_bytes(const soda_exec *exec) { return exec->plan.bytes; }

const int *exec_order(const soda_exec *exec, int *steps, int *prologue)
{
    *steps = exec->steps;
    *prologue = exec->prologue_steps;
    return exec->order;
}

soda_weights *exec_weights(const soda_exec *exec) { return exec->weights; }

/* The tensor of a value that the caller may touch, or an error. */
static soda_status find_tensor(const soda_exec *exec, soda_id id, bool write, soda_tensor *tensor)
{
    if (id < 0 || id >= exec->graph->value_count)
        return FAIL(SODA_ERR_INTERNAL, "exec: there is no such value");
    const soda_value *v = &exec->graph->values[id];
    const bool leaf = v->kind == VALUE_INPUT || v->kind == VALUE_PARAM;
    *tensor = (soda_tensor){v->dtype, v->shape, address(exec, id)};
    if (!tensor->data || (write ? !leaf : !leaf && !v->output))
        return FAIL(SODA_ERR_INTERNAL, "exec: %s cannot be %s", v->name ? v->name : "a value",
                    write ? "written" : "read");
    return SODA_OK;
}

soda_status exec_write(soda_exec *exec, soda_id value, const void *data, size_t bytes)
{
    soda_tensor tensor;
    TRY(find_tensor(exec, value, true, &tensor));
    if (bytes != tensor_bytes(&tensor))
        return FAIL(SODA_ERR_INTERNAL, "exec: %zu bytes for a value of %zu", bytes,
                    tensor_bytes(&tensor));
    TRY(exec->backend->device->upload(exec->backend->device, tensor.data, data, bytes));
    exec->params_changed |= exec->graph->values[value].kind == VALUE_PARAM;
    return SODA_OK;
}

soda_status exec_read(const soda_exec *exec, soda_id value, void *data, size_t bytes)
{
    soda_tensor tensor;
    TRY(find_tensor(exec, value, false, &tensor));
    if (bytes != tensor_bytes(&tensor))
        return FAIL(SODA_ERR_INTERNAL, "exec: %zu bytes for a value of %zu", bytes,
                    tensor_bytes(&tensor));
    return exec->backend->device->download(exec->backend->device, data, tensor.data, bytes);
}

static soda_status find_named(const soda_exec *exec, const char *name, bool write, int64_t count,
                              soda_id *id, soda_tensor *tensor)
{
    *id = graph_find(exec->graph, name);
    if (*id == NO_VALUE) return FAIL(SODA_ERR_INTERNAL, "exec: there is no value %s", name);
    TRY(find_tensor(exec, *id, write, tensor));
    if (shape_count(&tensor->shape) != count)
        return FAIL(SODA_ERR_INTERNAL, "exec: %s has %lld elements, not %lld", name,
                    (long long)shape_count(&tensor->shape), (long long)count);
    return SODA_OK;
}

enum { CHUNK = 2048 }; /* elements that are converted at a time, on the stack */

soda_status exec_write_f32(soda_exec *exec, const char *name, const float *data, int64_t count)
{
    soda_device *d = exec->backend->device;
    double elements[CHUNK];
    soda_id id;
    soda_tensor t;
    TRY(find_named(exec, name, true, count, &id, &t));
    if (t.dtype == SODA_F32) return exec_write(exec, id, data, tensor_bytes(&t));
    for (int64_t i = 0; i < count; i += CHUNK) {
        const int64_t n = count - i < CHUNK ? count - i : CHUNK;
        const size_t width = dtype_bytes(t.dtype);
        TRY(elements_from_f32(data + i, n, t.dtype, elements));
        TRY(d->upload(d, (char *)t.data + (size_t)i * width, elements, (size_t)n * width));
    }
    exec->params_changed |= exec->graph->values[id].kind == VALUE_PARAM;
    return SODA_OK;
}

soda_status exec_read_f32(const soda_exec *exec, const char *name, float *data, int64_t count)
{
    soda_device *d = exec->backend->device;
    double elements[CHUNK];
    soda_id id;
    soda_tensor t;
    TRY(find_named(exec, name, false, count, &id, &t));
    if (t.dtype == SODA_F32) return exec_read(exec, id, data, tensor_bytes(&t));
    for (int64_t i = 0; i < count; i += CHUNK) {
        const int64_t n = count - i < CHUNK ? count - i : CHUNK;
        const size_t width = dtype_bytes(t.dtype);
        TRY(d->download(d, elements, (char *)t.data + (size_t)i * width, (size_t)n * width));
        TRY(elements_to_f32(elements, n, t.dtype, data + i));
    }
    return SODA_OK;
}

void exec_params_changed(soda_exec *exec) { exec->params_changed = true; }

/* Marks of a profiled step: before it, and after it. */
static int mark_of(int step) { return DEVICE_PROFILE_MARKS + 2 * step; }

static soda_status run_step(soda_exec *exec, int step)
{
    soda_device *d = exec->backend->device;
    const int n = exec->order[step];
    if (exec->seconds) TRY(d->mark(d, mark_of(step)));
    TRY(exec->backend->kernel[exec->graph->nodes[n].op]->run(&exec->calls[n]));
    if (exec->seconds) TRY(d->mark(d, mark_of(step) + 1));
    pulse_beat();
    return SODA_OK;
}

/* Waits for the steps, and adds up their times. */
static soda_status add_times(soda_exec *exec, int first, int last)
{
    soda_device *d = exec->backend->device;
    for (int step = first; step < last; step++) {
        double seconds = 0;
        TRY(d->elapsed(d, mark_of(step), mark_of(step) + 1, &seconds));
        exec->seconds[exec->order[step]] += seconds;
    }
    return SODA_OK;
}

/* Begins a run; true: with the prologue. */
static bool begin(soda_exec *exec)
{
    const bool prologue = exec->params_changed;
    exec->first_step = prologue ? 0 : exec->prologue_steps;
    exec->params_changed = false;
    exec->runs++;
    pulse_beat();
    return prologue;
}

/* The run that was begun. Whatever fails, all visits are gone through: other ranks take part in
 * them. all: every node; else the prologue alone, if it is due. */
static soda_status run(soda_exec *exec, bool all)
{
    soda_residency *r = exec->residency;
    const soda_weights *w = exec->weights;
    soda_status s = SODA_OK;
    int visit = 0;
    const int first = exec->first_step;
    const int last = all ? exec->steps : exec->prologue_steps; /* of the steps that run */
    while (visit < w->visit_count && w->visits[visit].last_step < first) visit++;
    if (r->start) r->start(r, w, visit);
    for (int step = first; step < exec->steps; step++) {
        const weights_visit *v = visit < w->visit_count ? &w->visits[visit] : NULL;
        const bool begins = v && step == (v->first_step < first ? first : v->first_step);
        if (begins && r->need) {
            const soda_status here = r->need(r, w, visit);
            if (s == SODA_OK) s = here;
        }
        if (s == SODA_OK && step < last) s = run_step(exec, step);
        if (!v || step != v->last_step) continue;
        if (r->done) r->done(r, w, visit);
        visit++;
    }
    if (s == SODA_OK && exec->seconds) s = add_times(exec, first, last);
    return s;
}

static soda_status run_all(void *context) { return run(context, true); }

soda_status exec_run(soda_exec *exec)
{
    if (!exec->residency) return FAIL(SODA_ERR_INTERNAL, "exec: nothing was committed");
    const device_work *appended = &exec->appended;
    const bool prologue = begin(exec);
    /* what ranks do together, and what is timed by node, is not the same each time */
    if (exec->residency->start || exec->seconds) {
        TRY(run(exec, true));
        return appended->queue ? appended->queue(appended->context) : SODA_OK;
    }
    const device_work works[] = {{.queue = run_all,
                                  .context = exec,
                                  .memory = exec->bound,
                                  .memory_count = exec->graph->value_count},
                                 *appended};
    return recorded_queue(&exec->recorded[prologue], exec->backend->device, works,
                          appended->queue ? 2 : 1);
}

void exec_append(soda_exec *exec, device_work work) { exec->appended = work; }

int64_t exec_runs(const soda_exec *exec) { return exec->runs; }

soda_status exec_walk(soda_exec *exec, int64_t runs)
{
    soda_status s = SODA_OK;
    while (exec->runs < runs && exec->residency->start) {
        (void)begin(exec);
        const soda_status here = run(exec, false);
        if (s == SODA_OK) s = here;
    }
    exec->runs = runs;
    return s;
}

soda_status exec_profile(soda_exec *exec, double *seconds, int nodes)
{
    const size_t count = (size_t)exec->graph->node_count;
    if (nodes != exec->graph->node_count) return FAIL(SODA_ERR_INTERNAL, "profile: wrong length");
    if (!exec->seconds) exec->seconds = calloc(count + 1, sizeof *seconds);
    if (!exec->seconds) return FAIL(SODA_ERR_MEMORY, "out of memory");
    memcpy(seconds, exec->seconds, count * sizeof *seconds);
    memset(exec->seconds, 0, count * sizeof *seconds);
    return SODA_OK;
}
