/* onednn.h: the one door to oneDNN: engine, stream, its status as ours, and a primitive together
 * with the memories it is run on. Only files of this folder may include <dnnl.h>. */
#pragma once

#include <dnnl.h>

#include "core/status.h"
#include "core/tensor.h"

enum { ONEDNN_MAX_ARGS = 5 };

/* A primitive and its arguments, in the order in which they were bound. All zero is empty. */
typedef struct {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[ONEDNN_MAX_ARGS];
    int args;
} onednn_op;

/* SODA_OK, or a failure that names `what` was tried. */
soda_status onednn_status(dnnl_status_t status, const char *what);

/* Whether the CPU has all of `isa`, and oneDNN may use it: ONEDNN_MAX_CPU_ISA in the environment
 * sets a limit, which our own matrix kernels keep as well, so that tests can see every path. */
bool onednn_allows(dnnl_cpu_isa_t isa);

/* Creates the primitive of `descriptor` (an operation descriptor: shapes, types, wanted layouts);
 * its scratch comes from the caller. Creating one of the same shape again is cheap: oneDNN keeps
 * what it generated. */
soda_status onednn_create(onednn_op *op, const_dnnl_op_desc_t descriptor);

/* The layout that the primitive chose for one of its arguments; valid as long as op. */
const dnnl_memory_desc_t *onednn_layout(const onednn_op *op, int arg);

/* Bytes of scratch that a run needs. */
size_t onednn_scratch_bytes(const onednn_op *op);

/* Appends `arg`, in the layout the primitive chose. `data` may be set later. */
soda_status onednn_bind(onednn_op *op, int arg, void *data);

/* Points the argument that was bound as number `index` at `data`. */
soda_status onednn_point(const onednn_op *op, int index, void *data);

/* Runs the primitive and waits for it. */
soda_status onednn_run(const onednn_op *op);

/* Frees what op holds. An empty op is fine. */
void onednn_destroy(onednn_op *op);

/* "oneDNN 2.6.3": the library that is loaded, not the one that was compiled against. */
void onednn_text(char *text, size_t size);

/* A number that tells layouts apart: a form of the weight store. */
uint64_t onednn_form(const dnnl_memory_desc_t *layout);
