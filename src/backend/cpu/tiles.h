/* tiles.h: matrix products in bf16 on AMX tiles: linear and conv2d, and the gradients of their
 * inputs.
 *
 *     y[p][o] = b[o] + sum over taps t and channels i of w[o][i][t] x[p + t][i]
 *
 * Weights are stored as cells of 32 x 32 channels of one tap, 2 KiB, in the order in which the
 * forward pass uses them; gradients transpose cells on the way into the second-level cache, and
 * computed weights are made into cells there, so one packed copy serves all. Sums are fp32 and stay
 * in tile registers for many cells; the result is rounded once. */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/conv2d.h"

/* Whether this convolution is in bf16 on a CPU with AMX. */
bool tiles_can(const conv2d_form *form);

/* Prepares y = conv(x, w) + b, the inputs 0, 1 and 2 of `call`. A matrix product is a convolution
 * of one picture of height 1 with a 1x1 kernel; w may then be computed: [out,in], or [in,out] if
 * form->turned. Sets call->state and call->scratch_bytes. */
soda_status tiles_prepare(soda_call *call, soda_weights *weights, const conv2d_form *form);

/* Prepares out[0] = in[0]' in[1], fp32, the gradient of a matrix: `form` as in product.h. */
soda_status tiles_prepare_grad_weight(soda_call *call, const conv2d_form *form);

soda_status tiles_run(const soda_call *call);
void tiles_release(soda_call *call);
