/* kernels.h: each kernel of a backend against the reference's, on the same inputs at odd shapes.
 *
 * The cases are those of tests/ops, which call these functions for every backend; `soda selftest
 * --gpu` calls them for the GPU at hand. */
#pragma once

#include "verify/case.h"

typedef struct {
    soda_op op;
    const char *label;  /* of the case */
    double worst;       /* error as a part of what is allowed; 0 if the case failed before */
    soda_status status; /* of this case; its message is the current one */
} kernel_result;

typedef struct {
    const soda_backend *backend;
    int64_t most; /* elements of a case: larger ones are left out; 0: none */
    bool brief;   /* NaN goes into one input of a case, not into each in turn */
    /* Is told of every case; NULL: the first failure is kept in `slot`, and ends the checks. */
    void (*note)(void *context, const kernel_result *result);
    void *context;
    status_slot slot;
} kernel_check;

/* kernels_NAME: all cases of the operators of a family. */
#define KERNELS(name) void kernels_##name(kernel_check *check);
#include "verify/kernels.def"
#undef KERNELS

/* Those of attention for one type of activations. */
void kernels_attention_of(kernel_check *check, soda_dtype dtype);
void kernels_attention_loud_of(kernel_check *check, soda_dtype dtype);

/* The error that output k of a kernel may have. It is compared with the reference on the same
 * inputs, unrounded. Per element: one rounding to the output's type, 2^-24 or 2^-8 relative (fp64
 * sums of fp32 would have that alone); and relative to the largest element, 4 sqrt(terms) 2^-24 for
 * `terms` fp32 roundings along the way (they add up like a random walk), plus `inner` 2^-8 when
 * the first input is bf16, for values that a kernel rounds to bf16 along the way. `size` stands in
 * for the largest element where it is larger: the size of the terms, where they may cancel. */
typedef struct {
    double terms, inner, size;
} op_bound;

/* Runs the reference once and the backend's kernel three times: once alone and then twice after one
 * preparation, which must give the same bits. Compares every output; `label` names the case. Then
 * puts NaN into one element of each input in turn: where it reaches an output of the reference, it
 * must reach the kernel's. True if all was well: then the outputs of the case are the kernel's. */
bool kernels_compare(kernel_check *check, soda_op op, op_case *c, const op_bound *bound,
                     const char *label);

/* The same, of any kernel on any device. */
typedef struct {
    const soda_kernel *kernel, *ref;
    soda_device *device;
    bool brief;
} kernel_pair;
soda_status kernels_compare_pair(const kernel_pair *pair, op_case *c, const op_bound *bound,
                                 const char *label, double *worst);

/* The outputs of the reference: what a gradient reads. */
void kernels_reference(kernel_check *check, soda_op op, op_case *c);

/* Fails the case unless `holds`. */
void kernels_expect(kernel_check *check, soda_op op, bool holds, const char *label);
