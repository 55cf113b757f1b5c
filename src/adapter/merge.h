/* merge.h: adapters folded into plain weights, on the host, in fp64. Several threads may merge
 * several layers at a time. w0 and bases of a layer hold data. */
#pragma once

#include "adapter/method.h"

/* values [m,n] = a weight of any float type as fp32. */
soda_status merge_read_weight(const soda_weight *weight, float *values);

/* W [m,n] = the layer's W0 in fp64. */
soda_status merge_read_wide(const soda_layer *layer, double *W);

/* sum [m,n] += weight (W - W0): residuals of several adapters add up. W0 is as its file holds it:
 * what bases in fp32 lost is in the residual. */
soda_status merge_add_residual(const soda_layer *layer, method_values values, double weight,
                               double *sum);
