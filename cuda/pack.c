#include "cuda/pack.h"

#include <string.h>

/* Numbers of forms; operands.c has those before. Odd: bf16. */
enum { FORM_TAPS = 16, FORM_TAPS_FLIPPED = 18 };

typedef struct {
    soda_dtype to;
    bool flipped;
} pack_recipe;

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

/* Elements of a row of taps without its padding. */
static int64_t tap_columns(const soda_shape *w, bool flipped)
{
    return w->dim[flipped ? 0 : 1] * w->dim[2] * w->dim[3];
}

static soda_status fill_taps(const soda_weight *weight, const void *recipe, void *form)
{
    const pack_recipe *r = recipe;
    const soda_tensor *source = &weight->source;
    const soda_shape *w = &source->shape;
    const int64_t O = w->dim[0], I = w->dim[1], taps = w->dim[2] * w->dim[3];
    const int64_t rows = r->flipped ? I : O, columns = tap_columns(w, r->flipped);
    const int64_t pitch = pack_taps_pitch(columns);
    if (pitch != columns) memset(form, 0, (size_t)(rows * pitch) * dtype_bytes(r->to));
    for (int64_t o = 0; o < O; o++) {
        for (int64_t i = 0; i < I; i++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                const float x = element(source, (o * I + i) * taps + tap);
                const int64_t at =
                    r->flipped ? i * pitch + (taps - 1 - tap) * O + o : o * pitch + tap * I + i;
                put(form, r->to, at, x);
            }
        }
    }
    return SODA_OK;
}

soda_status pack_taps(const soda_call *call, soda_weights *weights, int input, soda_dtype to,
                      bool flipped)
{
    const soda_weight *weight = call->weight[input];
    const soda_shape *w = &weight->source.shape;
    const soda_dtype from = weight->source.dtype;
    const pack_recipe recipe = {.to = to, .flipped = flipped};
    const int64_t rows = w->dim[flipped ? 1 : 0], pitch = pack_taps_pitch(tap_columns(w, flipped));
    if (from != SODA_F32 && from != SODA_BF16 && from != SODA_F16)
        return FAIL(SODA_ERR_UNSUPPORTED, "cuda backend: weight %s of type %s", weight->name,
                    dtype_name(from));
    return call_form(call, weights, input,
                     &(weights_form){.form = (uint64_t)(flipped ? FORM_TAPS_FLIPPED : FORM_TAPS) +
                                             (to == SODA_BF16),
                                     .bytes = (size_t)(rows * pitch) * dtype_bytes(to),
                                     .fill = fill_taps,
                                     .recipe = &recipe,
                                     .recipe_bytes = sizeof recipe});
}
