/* spectral.h: the shift delta [k] of a layer's spectrum, as part of a method.
 *
 * For methods with the bases of factorize_kind_svd: Ws = U diag(relu(s + delta)) Vh. The sum is
 * fp32 everywhere, so that the same gates are open in the network and in what is merged. */
#pragma once

#include "adapter/method.h"

/* Rows of a method's `keys` and `tensors`: delta starts at adapter.delta_init everywhere. */
#define SPECTRAL_KEYS "adapter.delta_init train.optimizer.spectrum"
extern const method_tensor spectral_delta;

/* The parts of a method with one delta: see soda_method. W [m,n] = Ws; sigma [k] = relu(s + delta),
 * or s if values is NULL. */
#define SPECTRAL_PARTS .bases = &factorize_kind_svd, .sigma = spectral_sigma
soda_status spectral_sigma(const soda_layer *layer, method_values values, float *sigma);
soda_status spectral_merge(const soda_layer *layer, method_values values, double *W);

/* Ws [m,n] in the graph, in fp32 (fp64 on an fp64 graph); its cost. */
soda_id spectral_weight(soda_graph *graph, const soda_layer *layer, soda_id delta);
double spectral_weight_cost(const route_case *c);

/* y = ((z Vh') relu(s + delta)) U' + b without Ws; its cost. */
soda_id spectral_factored(soda_graph *graph, const soda_layer *layer, soda_id z, soda_id delta,
                          soda_id b);
double spectral_factored_cost(const route_case *c);
