#include "cuda/pack.h"

#include <string.h>

#include "cuda/launch.h"

/* Numbers of forms, added up; operands.c has those before. */
enum { FORM_TAPS = 16, FORM_BF16 = 1, FORM_FLIPPED = 2, FORM_TURNED = 4 };

/* Element `index` of a weight, from any address. */
static float element(const soda_tensor *source, int64_t index)
{
    const char *at = (const char *)source->data + (size_t)index * dtype_bytes(source->dtype);
    float word;
    uint16_t half;
    if (source->dtype == SODA_F32) {
        memcpy(&word, at, sizeof word);
        return word;
    }
    memcpy(&half, at, sizeof half);
    return source->dtype == SODA_BF16 ? bf16_to_float(half) : f16_to_float(half);
}

static void put(void *form, soda_dtype to, int64_t index, float x)
{
    if (to == SODA_F32)
        ((float *)form)[index] = x;
    else
        ((uint16_t *)form)[index] = bf16_from_float(x);
}

/* The matrix that the form is or, turned, the transpose of which it is. */
typedef struct {
    int64_t rows, columns, row_step, column_step, count; /* in elements of the form */
} layout;

static layout layout_of(const soda_shape *w, const pack_recipe *r)
{
    layout l = {.rows = w->dim[r->flipped ? 1 : 0],
                .columns = w->dim[r->flipped ? 0 : 1] * w->dim[2] * w->dim[3]};
    l.row_step = r->turned ? 1 : pack_taps_pitch(l.columns);
    l.column_step = r->turned ? conv2d_f32_pitch(l.rows) : 1;
    l.count = r->turned ? l.columns * l.column_step : l.rows * l.row_step;
    return l;
}

static soda_status fill_taps(const soda_weight *weight, const void *recipe, void *form)
{
    const pack_recipe *r = recipe;
    const soda_tensor *source = &weight->source;
    const soda_shape *w = &source->shape;
    const int64_t O = w->dim[0], I = w->dim[1], taps = w->dim[2] * w->dim[3];
    const layout l = layout_of(w, r);
    if (l.count != l.rows * l.columns) memset(form, 0, (size_t)l.count * dtype_bytes(r->to));
    for (int64_t o = 0; o < O; o++) {
        for (int64_t i = 0; i < I; i++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                const float x = element(source, (o * I + i) * taps + tap);
                const int64_t row = r->flipped ? i : o,
                              column = r->flipped ? (taps - 1 - tap) * O + o : tap * I + i;
                put(form, r->to, row * l.row_step + column * l.column_step, x);
            }
        }
    }
    return SODA_OK;
}

soda_status pack_taps(const soda_call *call, soda_weights *weights, int input,
                      const pack_recipe *recipe)
{
    const soda_weight *weight = call->weight[input];
    const soda_dtype from = weight->source.dtype;
    const layout l = layout_of(&weight->source.shape, recipe);
    if (from != SODA_F32 && from != SODA_BF16 && from != SODA_F16)
        return FAIL(SODA_ERR_UNSUPPORTED, "cuda backend: weight %s of type %s", weight->name,
                    dtype_name(from));
    const int form = FORM_TAPS + (recipe->to == SODA_BF16 ? FORM_BF16 : 0) +
                     (recipe->flipped ? FORM_FLIPPED : 0) + (recipe->turned ? FORM_TURNED : 0);
    return call_form(call, weights, input,
                     &(weights_form){.form = (uint64_t)form,
                                     .bytes = (size_t)l.count * dtype_bytes(recipe->to),
                                     .fill = fill_taps,
                                     .recipe = recipe,
                                     .recipe_bytes = sizeof *recipe});
}
