/* embedding, its gradient and timestep_embedding of the CPU backend. */
#include <math.h>
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"

/* The table stays in the file: a prompt reads a few rows of it, so a copy would only cost memory.
 */
static soda_status run_embedding(const soda_call *call)
{
    const soda_tensor *ids = &call->in[0], *table = &call->in[1], *y = &call->out[0];
    const int64_t rows = table->shape.dim[0], C = table->shape.dim[1];
    const size_t row_bytes = (size_t)C * dtype_bytes(table->dtype);
    for (int64_t i = 0, count = shape_count(&ids->shape); i < count; i++) {
        const int64_t id = ((const int32_t *)ids->data)[i];
        if (id < 0 || id >= rows)
            return FAIL(SODA_ERR_INPUT, "embedding: id %lld is outside the table of %lld rows",
                        (long long)id, (long long)rows);
        const char *from = (const char *)table->data + (size_t)id * row_bytes;
        void *to = inputs_at(y, i * C);
        if (table->dtype == y->dtype) {
            memcpy(to, from, row_bytes);
        } else if (y->dtype == SODA_F32) {
            TRY(inputs_convert(from, table->dtype, C, to));
        } else {
            float *buffer = call->scratch;
            TRY(inputs_convert(from, table->dtype, C, buffer));
            const struct elementwise_loops *loops = call->path;
            loops->from_f32(buffer, to, C);
        }
    }
    return SODA_OK;
}

static soda_status prepare_embedding(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const soda_dtype from = call->in[1].dtype, to = call->out[0].dtype;
    if ((from != SODA_F32 && from != SODA_BF16 && from != SODA_F16) ||
        (to != SODA_F32 && to != SODA_BF16))
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: embedding from %s to %s", dtype_name(from),
                    dtype_name(to));
    call->path = elementwise(to);
    call->scratch_bytes = (size_t)call->in[1].shape.dim[1] * sizeof(float);
    return SODA_OK;
}

const soda_kernel cpu_embedding = {.prepare = prepare_embedding, .run = run_embedding};

/* dtable[ids[i]] += dy[i], row after row: a handful of rows, so nothing is shared out. */
static soda_status run_embedding_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *ids = &call->in[1], *dtable = &call->out[0];
    const int64_t C = dtable->shape.dim[1];
    memset(dtable->data, 0, tensor_bytes(dtable));
    for (int64_t i = 0, count = shape_count(&ids->shape); i < count; i++) {
        const int64_t row = ((const int32_t *)ids->data)[i] * C;
        for (int64_t c = 0; c < C; c++) {
            if (dy->dtype == SODA_F32) {
                ((float *)dtable->data)[row + c] += ((const float *)dy->data)[i * C + c];
            } else {
                uint16_t *to = (uint16_t *)dtable->data + row + c;
                *to = bf16_from_float(bf16_to_float(*to) +
                                      bf16_to_float(((const uint16_t *)dy->data)[i * C + c]));
            }
        }
    }
    return SODA_OK;
}

const soda_kernel cpu_embedding_grad = {.prepare = inputs_prepare_plain, .run = run_embedding_grad};

/* Sinusoids of a time, as diffusers' get_timestep_embedding with max_period 10000:
 *
 *     half = width / 2 ; w_i = 10000^(-i / (half - shift)) ; y = sin(t w), cos(t w)
 *
 * cos first if attr says so; the last column of an odd width is 0. Computed in fp64. */
static soda_status run_timestep_embedding(const soda_call *call)
{
    const timestep_embedding_attr *a = &call->attr->timestep_embedding;
    const float *t = call->in[0].data;
    float *y = call->out[0].data;
    const int64_t half = a->width / 2;
    for (int64_t i = 0; i < half; i++) {
        const double w = exp(-log(10000.0) * (double)i / ((double)half - (double)a->shift));
        for (int64_t m = 0; m < call->in[0].shape.dim[0]; m++) {
            float *row = y + m * a->width;
            row[a->cos_first ? half + i : i] = (float)sin((double)t[m] * w);
            row[a->cos_first ? i : half + i] = (float)cos((double)t[m] * w);
        }
    }
    for (int64_t m = 0; a->width % 2 && m < call->in[0].shape.dim[0]; m++)
        y[(m + 1) * a->width - 1] = 0.0f;
    return SODA_OK;
}

static soda_status prepare_timestep_embedding(soda_call *call, soda_weights *weights)
{
    if (call->in[0].dtype != SODA_F32 || call->out[0].dtype != SODA_F32)
        return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: timesteps of type %s",
                    dtype_name(call->in[0].dtype));
    return inputs_prepare_plain(call, weights);
}

const soda_kernel cpu_timestep_embedding = {.prepare = prepare_timestep_embedding,
                                            .run = run_timestep_embedding};
