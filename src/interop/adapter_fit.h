/* adapter_fit.h: the layers of a model that an adapter names. */
#pragma once

#include "interop/adapter_file.h"

typedef struct {
    const soda_adapter *adapter; /* borrowed */
    soda_layers *layers;         /* with the adapter's sizes, named as the model names them */
    bool *found;                 /* by layer of the adapter */
    soda_targets *targets;       /* what layers points to */
} adapter_fit;

/* No layers yet. The adapter must outlive the result. */
soda_status adapter_fit_create(const soda_adapter *adapter, adapter_fit *fit);
void adapter_fit_destroy(adapter_fit *fit); /* accepts a zeroed struct */

/* Adds the layers of one component, whose weights come from `source`, with the routes they would
 * take when trained in fp32 for latents [h,w] and `tokens` tokens on a backend with `prices` (NULL:
 * without). SODA_ERR_INPUT names a tensor whose size is not that of the model's layer. */
soda_status adapter_fit_component(adapter_fit *fit, const soda_folder *folder,
                                  folder_component component, soda_weight_source *source, int64_t h,
                                  int64_t w, int64_t tokens, const price_table *prices);

/* All components of a model; the layers get no values of W0. */
soda_status adapter_fit_model(adapter_fit *fit, const soda_folder *folder, int64_t h, int64_t w,
                              int64_t tokens, const price_table *prices);

/* What every use of an adapter asks first: that all its layers exist in the model as linear layers
 * of the right size, and that it was trained on this model (adapter_check_base). SODA_ERR_INPUT
 * names file and tensor. */
soda_status adapter_fit_check(const soda_adapter *adapter, const soda_folder *folder);
