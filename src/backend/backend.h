/* backend.h: what a backend is: one kernel per row of graph/ops.def, and a store of weights.
 *
 * The executor prepares every node once (a kernel may create primitives, pack frozen weights and
 * ask for scratch), then runs the nodes in order, as often as wanted. Shapes were checked when the
 * graph was built. run does not allocate, log or synchronise. */
#pragma once

#include "backend/device.h"
#include "backend/update.h"
#include "comm/exchange.h"
#include "core/status.h"
#include "core/tensor.h"
#include "graph/op.h"
#include "graph/weight.h"

/* The forms in which kernels want frozen weights, each made once and kept. */
typedef struct soda_weights soda_weights;

soda_status weights_create(soda_weights **weights);
void weights_destroy(soda_weights *weights);

/* The store's copy of weight `name` in `form` (a small number that its backend defines, unique per
 * layout), `bytes` long and 64-byte aligned. *fresh says that it was just allocated: the caller
 * fills it. The memory lives as long as the store. */
soda_status weights_get(soda_weights *weights, const char *name, uint64_t form, size_t bytes,
                        void **data, bool *fresh);

/* Bytes that the store holds. */
size_t weights_bytes(const soda_weights *weights);

/* One node as a kernel sees it. An absent optional input has in[i].data == NULL and rank 0.
 *
 * in[i] of a frozen weight (weight[i] != NULL) is the weight as the file holds it, any float type:
 * a fast kernel takes its own copy from the store in prepare and does not touch it in run.
 * During prepare the data of all other tensors is NULL. */
typedef struct soda_call {
    const soda_attr *attr;
    int inputs, outputs;
    soda_tensor in[SODA_MAX_INPUTS];
    soda_tensor out[SODA_MAX_OUTPUTS];
    const soda_weight *weight[SODA_MAX_INPUTS];
    void *scratch; /* 64-byte aligned, undefined contents; shared with other nodes between runs */
    size_t scratch_bytes; /* set by prepare */
    void *state;          /* set by prepare, freed by release */
} soda_call;

typedef struct {
    soda_status (*prepare)(soda_call *call, soda_weights *weights); /* NULL: nothing to prepare */
    soda_status (*run)(const soda_call *call);
    void (*release)(soda_call *call); /* NULL: prepare left nothing to free */
} soda_kernel;

typedef struct soda_backend {
    const char *name;
    int threads;             /* that its kernels use */
    const char *description; /* library versions and instruction sets found, for --version */
    soda_device *device;     /* where its kernels find their tensors */
    const soda_update *update;
    /* Collectives between the devices of `comm`'s ranks. Collective. */
    soda_status (*connect)(soda_device *device, soda_comm *comm, soda_exchange **exchange);
    const soda_kernel *kernel[OP_COUNT];
} soda_backend;

/* Plain C in double precision: the oracle of the tests. F32, BF16 and F64. */
const soda_backend *backend_ref(void);

/* oneDNN and OpenMP SIMD. F32 and BF16. `threads` <= 0: all cores this process may use. */
const soda_backend *backend_cpu(int threads);
