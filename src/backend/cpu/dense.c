#include "backend/cpu/dense.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/pack.h"
#include "backend/cpu/turn.h"
#include "core/isa.h"
#include "core/round.h"

soda_status dense_dtype(soda_dtype dtype, soda_dtype *compute)
{
    if (dtype != SODA_F32 && dtype != SODA_BF16)
        return FAIL(SODA_ERR_UNSUPPORTED, "the CPU backend computes in f32 or bf16, not in %s",
                    dtype_name(dtype));
    *compute = dtype == SODA_BF16 && isa_allows(ISA_AVX512) ? SODA_BF16 : SODA_F32;
    return SODA_OK;
}

soda_status dense_create(soda_call *call, soda_dense **dense)
{
    soda_dense *d = calloc(1, sizeof *d);
    if (!d) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = d; /* from here on release frees it */
    for (int i = 0; i < 3; i++) {
        d->in[i] = -1;
        d->in_copy[i] = SIZE_MAX;
    }
    d->out_copy = SIZE_MAX;
    *dense = d;
    return SODA_OK;
}

soda_status dense_bind_input(soda_dense *dense, int i, onednn_arg arg)
{
    dense->in[i] = (int)arg;
    return onednn_bind(&dense->op, arg, NULL);
}

soda_status dense_bind_turned(soda_dense *dense, int64_t rows, int64_t columns, soda_dtype dtype)
{
    dense->turns = true;
    dense->panels_dtype = dtype;
    dense->rows = rows;
    dense->columns = columns;
    return onednn_bind(&dense->op, ONEDNN_WEIGHTS, NULL);
}

onednn_bias dense_bias(const soda_call *call, soda_dtype compute)
{
    if (call->inputs < 3 || call->in[2].shape.rank == 0) return ONEDNN_NO_BIAS;
    return call->weight[2] || compute == SODA_F32 ? ONEDNN_BIAS_F32 : ONEDNN_BIAS_BF16;
}

soda_status dense_bind_bias(soda_call *call, soda_weights *weights)
{
    if (call->inputs < 3 || call->in[2].shape.rank == 0) return SODA_OK;
    if (call->weight[2]) TRY(pack_vector(call, weights, 2));
    return dense_bind_input(call->state, 2, ONEDNN_BIAS);
}

/* Room in scratch, from *bytes on, for an fp32 copy of `tensor`, if oneDNN wants one. */
static soda_status reserve_copy(const soda_dense *dense, onednn_arg arg, const soda_tensor *tensor,
                                size_t *bytes, size_t *at)
{
    onednn_layout layout;
    if (tensor->dtype != SODA_BF16) return SODA_OK;
    TRY(onednn_layout_of(&dense->op, arg, &layout));
    if (layout.dtype != SODA_F32) return SODA_OK;
    *at = *bytes;
    *bytes += whole_lines((size_t)shape_count(&tensor->shape) * sizeof(float));
    return SODA_OK;
}

soda_status dense_finish(soda_call *call)
{
    soda_dense *d = call->state;
    TRY(onednn_bind(&d->op, ONEDNN_DST, NULL));
    size_t bytes = whole_lines(onednn_scratch_bytes(&d->op));
    d->scratch = bytes > 0;
    if (d->scratch) TRY(onednn_bind(&d->op, ONEDNN_SCRATCH, NULL));
    for (int i = 0; i < 3 && i < call->inputs; i++)
        if (d->in[i] >= 0 && !call->weight[i])
            TRY(reserve_copy(d, (onednn_arg)d->in[i], &call->in[i], &bytes, &d->in_copy[i]));
    TRY(reserve_copy(d, ONEDNN_DST, &call->out[0], &bytes, &d->out_copy));
    d->turned_copy = bytes;
    if (d->turns) bytes += (size_t)(d->rows * d->columns) * dtype_bytes(d->panels_dtype);
    call->scratch_bytes = bytes;
    return SODA_OK;
}

static void *widen(const soda_tensor *tensor, void *copy)
{
    const uint16_t *x = tensor->data;
    float *y = copy;
    const int64_t n = shape_count(&tensor->shape);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) y[i] = bf16_to_float(x[i]);
    return copy;
}

static void narrow(const void *copy, const soda_tensor *tensor)
{
    const float *x = copy;
    uint16_t *y = tensor->data;
    const int64_t n = shape_count(&tensor->shape);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) y[i] = bf16_from_float(x[i]);
}

soda_status dense_run(const soda_call *call)
{
    soda_dense *d = call->state;
    char *scratch = call->scratch;
    for (int i = 0; i < 3; i++) {
        if (d->in[i] < 0) continue;
        const bool copied = d->in_copy[i] != SIZE_MAX;
        void *x = copied            ? widen(&call->in[i], scratch + d->in_copy[i])
                  : call->weight[i] ? call->form[i]
                                    : call->in[i].data;
        TRY(onednn_point(&d->op, (onednn_arg)d->in[i], x));
    }
    if (d->turns) {
        void *turned = scratch + d->turned_copy;
        turn_panels(call->form[1], d->rows, d->columns, d->panels_dtype, turned);
        TRY(onednn_point(&d->op, ONEDNN_WEIGHTS, turned));
    }
    const bool copied = d->out_copy != SIZE_MAX;
    void *y = copied ? scratch + d->out_copy : call->out[0].data;
    TRY(onednn_point(&d->op, ONEDNN_DST, y));
    if (d->scratch) TRY(onednn_point(&d->op, ONEDNN_SCRATCH, scratch));
    TRY(onednn_run(&d->op));
    if (copied) narrow(y, &call->out[0]);
    return SODA_OK;
}

void dense_release(soda_call *call)
{
    soda_dense *d = call->state;
    if (!d) return;
    onednn_destroy(&d->op);
    free(d);
    call->state = NULL;
}
