#include "verify/case.h"

#include <stdlib.h>
#include <string.h>

#include "backend/residency.h"

enum { GUARD_BYTES = 64, GUARD = 0xa5 };

/* What case_run owns while a call lives. */
typedef struct {
    soda_device *device;
    soda_call call;
    soda_weight weight[SODA_MAX_INPUTS];
    soda_weights *weights;
    soda_residency *residency;
} setup;

/* The call as backend.h promises it to prepare: data of frozen weights only. */
static void fill_call(setup *u, const op_case *c)
{
    static const char *const names[SODA_MAX_INPUTS] = {"in0", "in1", "in2", "in3", "in4", "in5"};
    u->call.attr = &c->attr;
    u->call.inputs = c->inputs;
    u->call.outputs = c->outputs;
    for (int i = 0; i < c->inputs; i++) {
        u->call.in[i] = c->in[i];
        u->call.in[i].data = NULL;
        if (!c->in[i].shape.rank || !(c->frozen >> i & 1)) continue;
        u->weight[i] = (soda_weight){.name = names[i], .source = c->in[i]};
        u->call.weight[i] = &u->weight[i];
        if (u->device->host) u->call.in[i].data = c->in[i].data;
    }
    for (int i = 0; i < c->outputs; i++) {
        u->call.out[i] = c->out[i];
        u->call.out[i].data = NULL;
    }
}

/* Device memory with the contents of `host`, or NaN bytes, and a guard behind them. */
static soda_status place(soda_device *d, const void *host, size_t bytes, void **memory)
{
    unsigned char *all = malloc(bytes + GUARD_BYTES);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    memset(all, 0xff, bytes);
    if (host) memcpy(all, host, bytes);
    memset(all + bytes, GUARD, GUARD_BYTES);
    soda_status s = d->alloc(d, bytes + GUARD_BYTES, memory);
    if (s == SODA_OK) s = d->upload(d, *memory, all, bytes + GUARD_BYTES);
    free(all);
    return s;
}

/* Downloads to `host` (NULL: nowhere); the guard must be as it was. `same`: so must the rest. */
static soda_status collect(soda_device *d, const void *memory, size_t bytes, void *host, bool same,
                           const char *what)
{
    unsigned char *all = malloc(bytes + GUARD_BYTES);
    if (!all) return FAIL(SODA_ERR_MEMORY, "out of memory");
    soda_status s = d->download(d, all, memory, bytes + GUARD_BYTES);
    for (int i = 0; i < GUARD_BYTES && s == SODA_OK; i++)
        if (all[bytes + (size_t)i] != GUARD)
            s = FAIL(SODA_ERR_INTERNAL, "%s: written %d bytes past its end", what, i);
    if (s == SODA_OK && same && memcmp(all, host, bytes) != 0)
        s = FAIL(SODA_ERR_INTERNAL, "%s was changed", what);
    if (s == SODA_OK && host && !same) memcpy(host, all, bytes);
    free(all);
    return s;
}

static soda_status place_all(setup *u, const op_case *c)
{
    soda_call *call = &u->call;
    TRY(resident_create(u->device, &u->residency));
    TRY(u->residency->fill(u->residency, u->weights));
    for (int i = 0; i < u->weights->use_count; i++)
        call->form[u->weights->uses[i].input] = u->residency->address(u->residency, u->weights, i);
    for (int i = 0; i < call->inputs; i++)
        if (c->in[i].shape.rank && !call->weight[i])
            TRY(place(u->device, c->in[i].data, tensor_bytes(&c->in[i]), &call->in[i].data));
    for (int i = 0; i < call->outputs; i++)
        TRY(place(u->device, c->out[i].data, tensor_bytes(&c->out[i]), &call->out[i].data));
    return SODA_OK;
}

static soda_status collect_all(const setup *u, const op_case *c)
{
    static const char *const inputs[] = {"input 0", "input 1", "input 2",
                                         "input 3", "input 4", "input 5"};
    static const char *const outputs[] = {"output 0", "output 1", "output 2", "output 3"};
    const soda_call *call = &u->call;
    for (int i = 0; i < call->inputs; i++)
        if (c->in[i].shape.rank && !call->weight[i])
            TRY(collect(u->device, call->in[i].data, tensor_bytes(&c->in[i]), c->in[i].data, true,
                        inputs[i]));
    for (int i = 0; i < call->outputs; i++)
        TRY(collect(u->device, call->out[i].data, tensor_bytes(&c->out[i]), c->out[i].data, false,
                    outputs[i]));
    return SODA_OK;
}

static soda_status prepare(setup *u, const op_case *c, const soda_kernel *kernel)
{
    if (c->no_memory) return FAIL(SODA_ERR_MEMORY, "out of memory");
    fill_call(u, c);
    TRY(weights_create(&u->weights));
    if (kernel->prepare) TRY(kernel->prepare(&u->call, u->weights));
    return place_all(u, c);
}

static void release(setup *u, const soda_kernel *kernel)
{
    soda_call *call = &u->call;
    if (kernel->release) kernel->release(call);
    u->device->release(u->device, call->scratch);
    for (int i = 0; i < call->inputs; i++)
        if (!call->weight[i]) u->device->release(u->device, call->in[i].data);
    for (int i = 0; i < call->outputs; i++) u->device->release(u->device, call->out[i].data);
    residency_close(u->residency);
    weights_destroy(u->weights);
}

static soda_status run_once(setup *u, const soda_kernel *kernel)
{
    soda_device *d = u->device;
    soda_call *call = &u->call;
    d->release(d, call->scratch);
    call->scratch = NULL;
    TRY(place(d, NULL, call->scratch_bytes, &call->scratch));
    TRY(kernel->run(call));
    return collect(d, call->scratch, call->scratch_bytes, NULL, false, "scratch");
}

soda_status case_execute(const op_case *c, const soda_kernel *kernel, soda_device *device, int runs)
{
    setup u = {.device = device};
    soda_status s = SODA_OK;
    TRY_TO(done, prepare(&u, c, kernel));
    for (int i = 0; i < runs; i++) TRY_TO(done, run_once(&u, kernel));
    s = collect_all(&u, c);
done:
    release(&u, kernel);
    return s;
}

soda_status case_time(const op_case *c, const soda_kernel *kernel, soda_device *device, int runs,
                      double *seconds)
{
    setup u = {.device = device};
    soda_status s = SODA_OK;
    *seconds = 0;
    TRY_TO(done, prepare(&u, c, kernel));
    TRY_TO(done, run_once(&u, kernel));
    TRY_TO(done, device->mark(device, 0));
    for (int i = 0; i < runs; i++) TRY_TO(done, kernel->run(&u.call));
    TRY_TO(done, device->mark(device, 1));
    s = device->elapsed(device, 0, 1, seconds);
    *seconds /= runs;
done:
    release(&u, kernel);
    return s;
}
