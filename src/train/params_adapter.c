#include "train/params_adapter.h"

#include <stdlib.h>

soda_status params_adapter(const soda_params *params, soda_layers *layers,
                           const soda_method *method, const char *base_sha256,
                           soda_adapter **adapter)
{
    safetensors_tensor *tensors = calloc((size_t)params->count + 1, sizeof *tensors);
    *adapter = NULL;
    if (!tensors) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < params->count; i++) {
        const params_tensor *t = &params->tensors[i];
        tensors[i] = (safetensors_tensor){.name = t->name,
                                          .dtype = SAFETENSORS_F32,
                                          .rank = t->shape.rank,
                                          .dim = {t->shape.dim[0], t->shape.dim[1]},
                                          .data = params->host.value + t->offset};
    }
    const soda_status s = adapter_from_tensors("this run", method->name, base_sha256, tensors,
                                               params->count, adapter);
    free(tensors);
    if (s == SODA_OK) (*adapter)->bases = layers;
    return s;
}
