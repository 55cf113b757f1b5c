/* product.h: matrix products and convolutions by our own vector loops: linear, conv2d, and the
 * gradients of their inputs and weights.
 *
 *     y[p][o] = b[o] + sum over taps t and channels i of w[o][i][t] x[p + t][i]
 *
 * Each element of y is a sum over blocks of (t, i), each one chain of fused multiply-adds, in a
 * fixed order. Blocks depend on the numbers of channels and taps alone, so the bits depend neither
 * on the number of threads nor on rows and columns being cut. oneDNN (2.6 to 3.7), which did this
 * before, cuts sums by the number of threads and wants one packed copy of the weights for each
 * direction.
 *
 * Weights are stored in panels [O / width][I][taps][width], in fp32, or in bf16 for bf16
 * activations: matrices in panels of the kernel's width, 3x3 kernels in the panels of winograd.h.
 * One copy serves both directions: what a block of products cannot use as it lies is widened,
 * paired or transposed on the way into the second-level cache, once for hundreds of rows. */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/conv2d.h"

/* Prepares y = conv(x, w) + b, the inputs 0, 1 and 2 of `call`. A matrix product is a convolution
 * of one picture of height 1 with a 1x1 kernel; w may then be computed: [out,in], or [in,out] if
 * form->turned. Sets call->state and call->scratch_bytes. */
soda_status product_prepare(soda_call *call, soda_weights *weights, const conv2d_form *form);

/* Prepares out[0] = in[0]' in[1], fp32, the gradient of a matrix. In `form` the rows are columns of
 * in[0], and in[1] stands for computed weights [in,out]. */
soda_status product_prepare_grad_weight(soda_call *call, const conv2d_form *form);

soda_status product_run(const soda_call *call);
void product_release(soda_call *call);
