/* backend.h: what a backend is: a device, one kernel per row of graph/ops.def, and what makes new
 * parameters of gradients.
 *
 * The executor prepares every node once (a kernel may create primitives, ask for scratch, and say
 * in which form it wants frozen weights), finds memory for all of it, then runs the nodes in order,
 * as often as wanted. Shapes were checked when the graph was built. run does not allocate, log or
 * synchronise. */
#pragma once

#include "backend/device.h"
#include "backend/lane.h"
#include "backend/prices.h"
#include "backend/update.h"
#include "backend/weights.h"
#include "comm/exchange.h"
#include "core/status.h"
#include "core/tensor.h"
#include "graph/op.h"
#include "graph/weight.h"

/* One node as a kernel sees it. An absent optional input has in[i].data == NULL and rank 0.
 *
 * A frozen weight (weight[i] != NULL) is read in the form that prepare asked for with call_form, at
 * form[i]. Where the device's memory is the host's, in[i] is also the weight as the file holds it,
 * any float type. During prepare the data of all other tensors is NULL, and there are no forms. */
typedef struct soda_call {
    const soda_attr *attr;
    int inputs, outputs;
    soda_tensor in[SODA_MAX_INPUTS];
    soda_tensor out[SODA_MAX_OUTPUTS];
    const soda_weight *weight[SODA_MAX_INPUTS];
    void *form[SODA_MAX_INPUTS]; /* on the device */
    int step;                    /* when it runs */
    void *scratch; /* 64-byte aligned, undefined contents; shared with other nodes between runs */
    size_t scratch_bytes; /* set by prepare */
    const void *path;     /* set by prepare: constant, which of its ways run takes */
    void *state;          /* set by prepare, freed by release */
} soda_call;

/* Asks for frozen input `input` in a form: one per input. */
static inline soda_status call_form(const soda_call *call, soda_weights *weights, int input,
                                    const weights_form *form)
{
    return weights_note(weights, call->weight[input], form, call->step, input);
}

typedef struct {
    soda_status (*prepare)(soda_call *call, soda_weights *weights); /* NULL: nothing to prepare */
    soda_status (*run)(const soda_call *call);
    void (*release)(soda_call *call); /* NULL: prepare left nothing to free */
} soda_kernel;

typedef struct soda_backend {
    const char *name;
    int threads;             /* that its kernels use */
    const char *description; /* threads and instruction set, for --version */
    soda_device *device;     /* where its kernels find their tensors */
    const soda_update *update;
    const price_table *prices; /* of its kernels, for adapter/route.h */
    /* Collectives between the devices of `comm`'s ranks. Collective. */
    soda_status (*connect)(soda_device *device, soda_comm *comm, soda_exchange **exchange);
    /* Gathers between the devices of a group of comm's ranks; NULL: the device is the host.
     * SODA_ERR_UNSUPPORTED says why there are none. Collective over `comm`. */
    soda_status (*open_lane)(soda_device *device, soda_comm *comm, soda_comm *group,
                             soda_lane **lane);
    /* Factorises weights in LAPACK's place (adapter/factorize.h); NULL: LAPACK does. */
    const struct factorize_library *factorize;
    void (*close)(const struct soda_backend *backend); /* NULL: nothing to close */
    const soda_kernel *kernel[OP_COUNT];
} soda_backend;

/* Plain C in double precision: the oracle of the tests. F32, BF16 and F64. */
const soda_backend *backend_ref(void);

/* Opens a backend of backends.def for this rank of `comm`, whose ranks all open theirs. `threads`
 * of this rank's host code, <= 0: all cores this process may use. SODA_ERR_UNSUPPORTED says why it
 * cannot be had here. Collective. */
typedef soda_status backend_opener(int threads, soda_comm *comm, const soda_backend **backend);
#define BACKEND(name) backend_opener backend_open_##name;
#include "backend/backends.def"
#undef BACKEND

/* Opens cpu, which every process has. */
const soda_backend *backend_cpu(int threads);

/* What opens the backend called `name`, NULL if there is none; all names, "cpu, ...". */
backend_opener *backend_find(const char *name);
const char *backend_names(void);
