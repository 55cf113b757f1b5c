/* op_case.h: one operator on random tensors: its gradients against finite differences, and one
 * backend's kernel against the reference.
 *
 * op_run lays tensors on the device, guard bytes behind them, and fails if an input or a guard was
 * changed; frozen weights lie on an odd address, as a file may hold them. Outputs start as NaN:
 * what a kernel leaves out is seen. */
#pragma once

#include "support/op.h"

typedef struct {
    soda_attr attr;
    int inputs, outputs;
    soda_tensor in[SODA_MAX_INPUTS], out[SODA_MAX_OUTPUTS];
    unsigned frozen; /* bit i: in[i] is a frozen weight */
} op_case;

/* The types in which operators with weights are compared: activations x, weights w. */
typedef struct {
    soda_dtype x, w;
    bool frozen;
} op_types;
enum { OP_TYPES = 8, OP_FROZEN_TYPES = 6 }; /* the frozen ones come first */
extern const op_types op_type_list[OP_TYPES];

/* Appends an input of standard normals times `scale`, rounded to dtype; the seed is its index.
 * case_weight makes it a frozen weight, and `exact` a type that its values fit into as well: bf16
 * if the kernel computes in bf16, so that a copy rounded to bf16 is the weight itself.
 * case_either appends a weight of type->w, frozen or not as type says. case_absent leaves out an
 * optional input. case_given appends a copy of `tensor`, case_given_weight as a frozen weight. */
void case_input(op_case *c, soda_dtype dtype, soda_shape shape, double scale);
void case_weight(op_case *c, soda_dtype dtype, soda_dtype exact, soda_shape shape, double scale);
void case_either(op_case *c, const op_types *type, soda_shape shape, double scale);
void case_absent(op_case *c);
void case_given(op_case *c, const soda_tensor *tensor);
void case_given_weight(op_case *c, const soda_tensor *tensor);
void case_output(op_case *c, soda_dtype dtype, soda_shape shape);
void case_free(op_case *c);

/* Element i of a tensor of any float type. case_put rounds once, fp16 included. */
double case_get(const soda_tensor *t, int64_t i);
void case_put(const soda_tensor *t, int64_t i, double value);

/* Runs the kernel once. */
void case_run(op_case *c, const soda_kernel *kernel);

/* Fails unless out[0] is want[0..count), each within `bound`. */
void case_check_values(const op_case *c, const double *want, int64_t count, double bound);

/* `gradient` against central differences of L = sum of dy out[0] in the elements of in[wrt], all in
 * fp64. With a step h = 2^-15 the truncation is h^2 L'''/6, about 1e-10, and the rounding 2^-53 L/h
 * about 1e-11 for these sizes: each element must agree to 1e-7 of the largest one. */
void case_check_gradient(op_case *c, const soda_kernel *kernel, int wrt, const soda_tensor *dy,
                         const soda_tensor *gradient);

/* The error that output k of a kernel may have. It is compared with the reference on the same
 * inputs, unrounded. Per element: one rounding to the output's type, 2^-24 or 2^-8 relative (fp64
 * sums of fp32 would have that alone); and relative to the largest element, 4 sqrt(terms) 2^-24 for
 * `terms` fp32 roundings along the way (they add up like a random walk), plus `inner` 2^-8 when
 * the first input is bf16, for values that a kernel rounds to bf16 along the way. `size` stands in
 * for the largest element where it is larger: the size of the terms, where they may cancel. */
typedef struct {
    double terms, inner, size;
} op_bound;

/* Runs `ref` once and `kernel` three times: once alone and then twice after one preparation, which
 * must give the same bits. Compares every output; `label` names the case. Then puts NaN into one
 * element of each input in turn: where it reaches an output of `ref`, it must reach `kernel`'s. */
void case_compare(op_case *c, const soda_kernel *kernel, const soda_kernel *ref,
                  const op_bound *bound, const char *label);
