/* op.h: runs one kernel on buffers of the test, for tests that compare backends. */
#pragma once

#include "backend/backend.h"

/* Prepares `kernel` for the call, runs it `runs` times on its backend's device and releases it.
 * in[i].data and out[i].data are buffers of the host, which are uploaded and downloaded; bit i of
 * `frozen` says that in[i] is a frozen weight (its buffer is the source). An absent optional input
 * has rank 0. Scratch is filled with NaN bytes before each run. */
soda_status op_run(const soda_kernel *kernel, const soda_attr *attr, const soda_tensor *in,
                   int inputs, const soda_tensor *out, int outputs, unsigned frozen, int runs);

/* Bytes of the forms that kernels asked for. */
size_t op_form_bytes(const soda_weights *weights);
