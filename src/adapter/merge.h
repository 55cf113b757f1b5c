/* merge.h: adapters folded into plain weights, on the host, in fp64, without a dense rotation. */
#pragma once

#include "adapter/soda.h"

/* Values of a layer's params, in the order SODA_R1 .. SODA_DELTA: fp32, shapes as soda.h says. */
typedef struct {
    const float *value[SODA_PARAMS];
} merge_params;

/* values [m,n] = a weight of any float type as fp32. */
soda_status merge_read_weight(const soda_weight *weight, float *values);

/* W [m,n] = Ws R': SVD Ws = U diag(relu(s + delta)) Vh, LQ Ws = W0 + diag(delta) Q; R' by three
 * products along the axes of a row. layer's w0 and basis hold data. Several threads may merge
 * several layers at a time. */
soda_status merge_effective(const soda_layer *layer, const merge_params *params, double *W);

/* sum [m,n] += weight (W - W0): residuals of several adapters add up. W0 is as its file holds it:
 * for SVD the rounding of U, s and Vh is in the residual. */
soda_status merge_add_residual(const soda_layer *layer, const merge_params *params, double weight,
                               double *sum);

/* The inverse: W [m,n], an effective weight in, W0 out. W R undoes the rotation (R is orthogonal),
 * then the shift of the spectrum, gate included, is subtracted. */
soda_status merge_remove(const soda_layer *layer, const merge_params *params, double *W);
