/* op_case.h: verify/case.h for tests: what fails there fails the test here; and gradients against
 * finite differences. Kernels run where tested_device says. */
#pragma once

#include "support/op.h"
#include "verify/kernels.h"

/* Runs the kernel once. */
void case_run(op_case *c, const soda_kernel *kernel);

/* Fails unless out[0] is want[0..count), each within `bound`. */
void case_check_values(const op_case *c, const double *want, int64_t count, double bound);

/* `gradient` against central differences of L = sum of dy out[0] in the elements of in[wrt], all in
 * fp64. With a step h = 2^-15 the truncation is h^2 L'''/6, about 1e-10, and the rounding 2^-53 L/h
 * about 1e-11 for these sizes: each element must agree to 1e-7 of the largest one. */
void case_check_gradient(op_case *c, const soda_kernel *kernel, int wrt, const soda_tensor *dy,
                         const soda_tensor *gradient);

/* kernels_compare_pair. */
void case_compare(op_case *c, const soda_kernel *kernel, const soda_kernel *ref,
                  const op_bound *bound, const char *label);

/* All cases of a family, on the tested backend. */
kernel_check tested_kernels(void);
void check_kernels(void (*family)(kernel_check *));
