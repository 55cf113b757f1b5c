/* case.h: one operator on random tensors, run by one backend's kernel.
 *
 * case_execute lays tensors on the device, guard bytes behind them, and fails if an input or a
 * guard was changed; frozen weights lie on an odd address, as a file may hold them. Outputs start
 * as NaN: what a kernel leaves out is seen. */
#pragma once

#include "backend/backend.h"

typedef struct {
    soda_attr attr;
    int inputs, outputs;
    soda_tensor in[SODA_MAX_INPUTS], out[SODA_MAX_OUTPUTS]; /* on the host */
    unsigned frozen;                                        /* bit i: in[i] is a frozen weight */
    bool no_memory; /* for some tensor: case_execute fails */
} op_case;

/* The types in which operators with weights are compared: activations x, weights w. */
typedef struct {
    soda_dtype x, w;
    bool frozen;
} op_types;
enum { OP_TYPES = 8, OP_FROZEN_TYPES = 6 }; /* the frozen ones come first */
extern const op_types op_type_list[OP_TYPES];

/* The types in which operators are compared whose matrix is computed, or a frozen weight (w), of
 * which the result is fp32. x: of the result. */
enum { OP_MATRIX_TYPES = 5 };
extern const op_types op_matrix_types[OP_MATRIX_TYPES];

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

/* A tensor of a case, `offset` bytes past a multiple of 64, all of whose bits are set. case_drop
 * frees it; the tensors of a case are freed by case_free. */
soda_tensor case_tensor(op_case *c, soda_dtype dtype, soda_shape shape, size_t offset);
void case_drop(const soda_tensor *tensor);

/* Element i of a tensor of any float type. case_put rounds once, fp16 included. */
double case_get(const soda_tensor *t, int64_t i);
double case_largest_scale(const soda_tensor *stats); /* largest 1/std of [..,2]: mean, 1/std */
void case_put(const soda_tensor *t, int64_t i, double value);

/* Prepares `kernel`, whose backend has this device, for the call, runs it `runs` times and releases
 * it. Scratch is filled with NaN bytes before each run. */
soda_status case_execute(const op_case *c, const soda_kernel *kernel, soda_device *device,
                         int runs);

/* Seconds of a run on the device, the mean of `runs` after one that is not timed. Outputs are
 * lost. */
soda_status case_time(const op_case *c, const soda_kernel *kernel, soda_device *device, int runs,
                      double *seconds);
