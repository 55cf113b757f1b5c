#include "support/op.h"

#include <stdlib.h>
#include <string.h>

/* What op_run owns while a call lives. */
typedef struct {
    soda_call call;
    soda_weight weight[SODA_MAX_INPUTS];
    soda_weights *store;
} setup;

/* The call as backend.h promises it to prepare: data of frozen weights only. */
static void fill_call(setup *u, const soda_attr *attr, const soda_tensor *in, int inputs,
                      const soda_tensor *out, int outputs, unsigned frozen)
{
    static const char *const names[SODA_MAX_INPUTS] = {"in0", "in1", "in2", "in3", "in4", "in5"};
    u->call.attr = attr;
    u->call.inputs = inputs;
    u->call.outputs = outputs;
    for (int i = 0; i < inputs; i++) {
        u->call.in[i] = in[i];
        if (in[i].shape.rank && frozen >> i & 1) {
            u->weight[i] = (soda_weight){.name = names[i], .source = in[i]};
            u->call.weight[i] = &u->weight[i];
        } else {
            u->call.in[i].data = NULL;
        }
    }
    for (int i = 0; i < outputs; i++) {
        u->call.out[i] = out[i];
        u->call.out[i].data = NULL;
    }
}

static soda_status prepare_and_run(const soda_kernel *kernel, setup *u, const soda_tensor *in,
                                   const soda_tensor *out, int runs)
{
    soda_call *call = &u->call;
    if (kernel->prepare) TRY(kernel->prepare(call, u->store));
    for (int i = 0; i < call->inputs; i++) call->in[i].data = in[i].shape.rank ? in[i].data : NULL;
    for (int i = 0; i < call->outputs; i++) call->out[i].data = out[i].data;
    /* Not from an arena: a block of exactly this size lets ASan see an overrun. */
    if (call->scratch_bytes && posix_memalign(&call->scratch, 64, call->scratch_bytes))
        return FAIL(SODA_ERR_MEMORY, "out of memory: scratch of %zu bytes", call->scratch_bytes);
    for (int i = 0; i < runs; i++) {
        if (call->scratch_bytes) memset(call->scratch, 0xff, call->scratch_bytes);
        TRY(kernel->run(call));
    }
    return SODA_OK;
}

soda_status op_run(const soda_kernel *kernel, const soda_attr *attr, const soda_tensor *in,
                   int inputs, const soda_tensor *out, int outputs, unsigned frozen, int runs)
{
    setup u = {.store = NULL};
    fill_call(&u, attr, in, inputs, out, outputs, frozen);
    TRY(weights_create(&u.store));
    soda_status s = SODA_OK;
    TRY_TO(done, prepare_and_run(kernel, &u, in, out, runs));
done:
    if (kernel->release) kernel->release(&u.call);
    free(u.call.scratch);
    weights_destroy(u.store);
    return s;
}
