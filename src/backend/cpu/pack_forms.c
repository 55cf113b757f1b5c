/* How kernels ask for the forms that pack.c fills. */
#include "backend/cpu/pack.h"
#include "core/round.h"

int64_t pack_panels_depth(const soda_shape *shape) { return ceil_div(shape->dim[1], 16) * 16; }

int64_t pack_panel_elements(const soda_shape *shape, int64_t width)
{
    const int64_t taps = shape_count(shape) / shape->dim[0] / shape->dim[1];
    return pack_panels_depth(shape) * taps * width;
}

soda_status pack_vector(const soda_call *call, soda_weights *weights, int input)
{
    const int64_t n = shape_count(&call->weight[input]->source.shape);
    return call_form(call, weights, input,
                     &(weights_form){.form = PACK_VECTOR,
                                     .bytes = (size_t)n * sizeof(float),
                                     .fill = pack_fill_vector});
}

soda_status pack_panels(const soda_call *call, soda_weights *weights, int input, int64_t width,
                        soda_dtype to)
{
    const soda_shape *shape = &call->weight[input]->source.shape;
    const int64_t panels = ceil_div(shape->dim[0], width);
    const pack_panels_recipe recipe = {
        width, to, (size_t)(panels * pack_panel_elements(shape, width)) * dtype_bytes(to)};
    return call_form(call, weights, input,
                     &(weights_form){.form = PACK_PANELS + 2 * (uint64_t)width + (to == SODA_BF16),
                                     .bytes = recipe.bytes,
                                     .fill = pack_fill_panels,
                                     .recipe = &recipe,
                                     .recipe_bytes = sizeof recipe});
}
