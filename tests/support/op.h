/* op.h: runs one kernel on buffers of the test. */
#pragma once

#include "backend/backend.h"

/* case_execute of verify/case.h where tested_device says. in[i].data and out[i].data are buffers of
 * the host; bit i of `frozen` says that in[i] is a frozen weight. */
soda_status op_run(const soda_kernel *kernel, const soda_attr *attr, const soda_tensor *in,
                   int inputs, const soda_tensor *out, int outputs, unsigned frozen, int runs);

/* Bytes of the forms that kernels asked for. */
size_t op_form_bytes(const soda_weights *weights);
