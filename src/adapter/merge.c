#include "adapter/merge.h"

#include <stdlib.h>
#include <string.h>

soda_status merge_read_weight(const soda_weight *weight, float *values)
{
    const int64_t count = shape_count(&weight->source.shape);
    const char *bytes = weight->source.data;
    for (int64_t i = 0; i < count; i++) {
        uint16_t half = 0;
        switch (weight->source.dtype) { /* memcpy: a file's tensors may lie anywhere */
        case SODA_F32: memcpy(&values[i], bytes + 4 * i, sizeof(float)); break;
        case SODA_BF16:
            memcpy(&half, bytes + 2 * i, sizeof half);
            values[i] = bf16_to_float(half);
            break;
        case SODA_F16:
            memcpy(&half, bytes + 2 * i, sizeof half);
            values[i] = f16_to_float(half);
            break;
        default:
            return FAIL(SODA_ERR_INPUT, "%s: a weight of type %s", weight->name,
                        dtype_name(weight->source.dtype));
        }
    }
    return SODA_OK;
}

soda_status merge_read_wide(const soda_layer *layer, double *W)
{
    const int64_t count = layer->m * layer->n;
    float *values = calloc((size_t)count, sizeof *values);
    if (!values) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    const soda_status s = merge_read_weight(&layer->w0, values);
    for (int64_t i = 0; s == SODA_OK && i < count; i++) W[i] = (double)values[i];
    free(values);
    return s;
}

soda_status merge_add_residual(const soda_layer *layer, method_values values, double weight,
                               double *sum)
{
    const int64_t count = layer->m * layer->n;
    double *W = malloc((size_t)count * sizeof *W);
    double *w0 = malloc((size_t)count * sizeof *w0);
    soda_status s = W && w0 ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", layer->name);
    if (s != SODA_OK) goto done;
    TRY_TO(done, merge_read_wide(layer, w0));
    TRY_TO(done, layer->method->merge(layer, values, W));
    for (int64_t i = 0; i < count; i++) sum[i] += weight * (W[i] - w0[i]);
done:
    free(W);
    free(w0);
    return s;
}
