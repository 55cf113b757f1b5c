/* random_weights.h: a weight source for networks of any size that needs no file and little memory.
 *
 * All weights are windows of one small buffer of normals that is mapped again and again, so
 * asking for them costs nothing; a backend's packed copies are as large as real ones. */
#pragma once

#include "graph/weight.h"

/* Every tensor exists and is fp32, normal with standard deviation `scale`; vectors, the factors of
 * normalisations among them, with `vector_scale`. Where those factors are small, gradients fall by
 * as much at every layer, below 1e-20 in a U-Net, and their products to subnormal numbers, with
 * which a CPU takes 20 times as long: a step of a network so made says nothing about training. */
soda_status random_weights_create(float scale, float vector_scale, soda_weight_source **source);
void random_weights_destroy(soda_weight_source *source); /* accepts NULL */
