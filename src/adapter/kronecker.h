/* kronecker.h: the rotation R = (R1 x R2) x R3 of a layer's inputs, as part of a method.
 *
 * Element (i,j) of R is R1[i1,j1] R2[i2,j2] R3[i3,j3] with i = (i1 n2 + i2) n3 + i3; n1 n2 n3 = n,
 * which are the layer's factor[]. Every factor starts at the identity. */
#pragma once

#include "adapter/method.h"

/* Rows of a method's `keys` and `tensors`. */
#define KRONECKER_KEYS "adapter.factors train.optimizer.rotation"
extern const method_tensor kronecker_R1, kronecker_R2, kronecker_R3;

/* The parts of a method whose first three tensors are R1, R2 and R3: see soda_method. */
soda_status kronecker_choose(const method_options *options, soda_layer *layer);
int kronecker_fit(const soda_shape *shape, soda_layer *layer, char *text, size_t size);
int kronecker_sizes(const soda_layer *layer, int64_t sizes[METHOD_SIZES]);
soda_status kronecker_angles(const soda_layer *layer, method_values values, float *angles,
                             double orthogonality[3]);

#define KRONECKER_PARTS                                                                            \
    .choose = kronecker_choose, .fit = kronecker_fit, .sizes = kronecker_sizes,                    \
    .sizes_key = "factors", .sizes_text = "R of", .angles = kronecker_angles

/* What W R' costs. */
double kronecker_weight_cost(const route_case *c);

/* W [m,n] <- W R', by three products along the axes of a row. */
soda_status kronecker_rotate(const soda_layer *layer, method_values values, double *W);
