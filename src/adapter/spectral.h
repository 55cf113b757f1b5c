/* spectral.h: the shift delta [k] of a layer's spectrum, as part of a method.
 *
 * For methods with the bases of factorize_kind_svd: Ws = U diag(relu(s + delta)) Vh. The sum is
 * fp32 everywhere, so that the same gates are open in the network and in what is merged. */
#pragma once

#include "adapter/method.h"

/* Rows of a method's `keys` and `tensors`: delta starts at adapter.delta_init everywhere. */
#define SPECTRAL_KEYS "adapter.delta_init train.optimizer.spectrum"
extern const method_tensor spectral_delta;

/* Ws [m,n] in the graph, in fp32 (fp64 on an fp64 graph); its cost in training. */
soda_id spectral_weight(soda_graph *graph, const soda_layer *layer, soda_id delta);
double spectral_weight_cost(const route_case *c);

/* y = ((z Vh') relu(s + delta)) U' + b without Ws; its cost. */
soda_id spectral_factored(soda_graph *graph, const soda_layer *layer, soda_id z, soda_id delta,
                          soda_id b);
double spectral_factored_cost(const route_case *c);

/* `weight` in the type of x, by a cast if it has another. */
soda_id spectral_cast(soda_graph *graph, soda_id weight, soda_id x);

/* W [m,n] = Ws; sigma [k] = relu(s + delta), or s if delta is NULL. */
soda_status spectral_merge(const soda_layer *layer, const float *delta, double *W);
void spectral_values(const soda_layer *layer, const float *delta, float *sigma);
