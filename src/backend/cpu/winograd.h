/* winograd.h: 3x3 convolution with stride 1 by F(4x4,3x3): a quarter of the products.
 *
 *     Y = A' [ (G g G') . (B' d B) ] A     Lavin & Gray, arXiv:1509.09308, section 4.2
 *
 * All in fp32; bf16 pictures, kernels and results are widened and rounded on the way.
 *
 * A 4x4 piece of the result needs a 6x6 piece d of the picture; the 36 places of the transformed
 * pieces are 36 matrix products of [tiles,in] with [in,out]. The interpolation points are
 * 0, +-5/8, +-3/2 and infinity: for standard normal data the relative L2 error is below 1e-6, half
 * of what 0, +-1, +-2 and infinity give (a direct sum over 9 x 320 terms has 4e-7), and the
 * coefficients of A and B are exact in fp32.
 *
 * Transformed weights would take four times the memory of the weights. They are made in the
 * second-level cache instead, block by block, each time they are needed: with 64 tiles this costs
 * a twentieth of the time of the products. The gradient of the input uses the same packed copy,
 * transposed and turned on the way. */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/conv2d.h"

/* Whether this convolution can be done so, and is expected to be faster. */
bool winograd_wins(const conv2d_form *form);

/* call is the convolution `form`; prepare packs the weights and sets state and scratch_bytes. */
soda_status winograd_prepare(soda_call *call, soda_weights *weights, const conv2d_form *form);
soda_status winograd_run(const soda_call *call);
void winograd_release(soda_call *call);
