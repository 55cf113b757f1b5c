#include "cuda/operands.h"

#include <string.h>

/* Forms of weights; pack.h has the others. */
enum { OPERANDS_F32 = 1, OPERANDS_BF16 };

static float element(const void *source, soda_dtype dtype, int64_t i)
{
    uint16_t half;
    float single;
    if (dtype == SODA_F32) {
        memcpy(&single, (const char *)source + 4 * i, sizeof single);
        return single;
    }
    memcpy(&half, (const char *)source + 2 * i, sizeof half);
    return dtype == SODA_BF16 ? bf16_to_float(half) : f16_to_float(half);
}

/* The source may lie on any address. The recipe is the type of the form. */
static soda_status fill(const soda_weight *weight, const void *recipe, void *form)
{
    const soda_tensor *source = &weight->source;
    soda_dtype to;
    memcpy(&to, recipe, sizeof to);
    const int64_t count = shape_count(&source->shape);
    if (source->dtype == to) {
        memcpy(form, source->data, (size_t)count * dtype_bytes(to));
        return SODA_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        const float x = element(source->data, source->dtype, i);
        if (to == SODA_F32)
            ((float *)form)[i] = x;
        else
            ((uint16_t *)form)[i] = bf16_from_float(x);
    }
    return SODA_OK;
}

soda_status operands_form(const soda_call *call, soda_weights *weights, int i, soda_dtype to)
{
    const soda_tensor *source = &call->weight[i]->source;
    if (source->dtype != SODA_F32 && source->dtype != SODA_BF16 && source->dtype != SODA_F16)
        return FAIL(SODA_ERR_UNSUPPORTED, "cuda backend: weights of %s", dtype_name(source->dtype));
    return call_form(call, weights, i,
                     &(weights_form){.form = to == SODA_F32 ? OPERANDS_F32 : OPERANDS_BF16,
                                     .bytes = (size_t)shape_count(&source->shape) * dtype_bytes(to),
                                     .fill = fill,
                                     .recipe = &to,
                                     .recipe_bytes = sizeof to});
}

/* `letter` as in operands.h; *x is the type of the activations, SODA_I32 before the first. */
static soda_status check_type(soda_dtype dtype, char letter, soda_dtype *x)
{
    const bool floats = dtype == SODA_F32 || dtype == SODA_BF16;
    if (letter == 'x' && *x == SODA_I32 && floats) *x = dtype;
    if (letter == '-' || (letter == 'x' && floats && dtype == *x) ||
        (letter == 'f' && dtype == SODA_F32) || (letter == 'i' && dtype == SODA_I32))
        return SODA_OK;
    const char *expected = "fp32 or bf16";
    if (letter == 'i' || letter == 'f' || *x != SODA_I32)
        expected = dtype_name(letter == 'i' ? SODA_I32 : letter == 'f' ? SODA_F32 : *x);
    return FAIL(SODA_ERR_UNSUPPORTED, "cuda backend: expected a tensor of %s, found %s", expected,
                dtype_name(dtype));
}

soda_status operands_prepare(soda_call *call, soda_weights *weights, const char *inputs,
                             const char *outputs)
{
    soda_dtype x = SODA_I32;
    for (int i = 0; i < call->inputs; i++) {
        if (!call->in[i].shape.rank || inputs[i] == '-') continue; /* absent, or any type */
        TRY(check_type(call->weight[i] ? SODA_F32 : call->in[i].dtype, inputs[i], &x));
        if (call->weight[i]) TRY(operands_form(call, weights, i, SODA_F32));
    }
    for (int i = 0; i < call->outputs; i++) TRY(check_type(call->out[i].dtype, outputs[i], &x));
    return SODA_OK;
}

soda_status operands_prepare_plain(soda_call *call, soda_weights *weights)
{
    for (int i = 0; i < call->inputs; i++)
        if (call->weight[i])
            return FAIL(SODA_ERR_UNSUPPORTED, "cuda backend: frozen weight %s in this operator",
                        call->weight[i]->name);
    return operands_prepare(call, weights, "xxxxxx", "xxxx");
}
