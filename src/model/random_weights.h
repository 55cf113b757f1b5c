/* random_weights.h: a weight source for networks of any size that needs no file and little memory.
 *
 * All weights are windows of one small buffer of normals that is mapped again and again, so
 * asking for them costs nothing; a backend's packed copies are as large as real ones. */
#pragma once

#include "graph/weight.h"

/* Every tensor exists and is fp32, normal with standard deviation `scale`. */
soda_status random_weights_create(float scale, soda_weight_source **source);
void random_weights_destroy(soda_weight_source *source); /* accepts NULL */
