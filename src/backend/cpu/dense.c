#include "backend/cpu/dense.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/pack.h"
#include "backend/cpu/turn.h"

soda_status dense_dtype(soda_dtype dtype, dnnl_data_type_t *compute)
{
    if (dtype != SODA_F32 && dtype != SODA_BF16)
        return FAIL(SODA_ERR_UNSUPPORTED, "the CPU backend computes in f32 or bf16, not in %s",
                    dtype_name(dtype));
    *compute = dtype == SODA_BF16 && onednn_allows(dnnl_cpu_isa_avx512_core) ? dnnl_bf16 : dnnl_f32;
    return SODA_OK;
}

soda_status dense_create(soda_call *call, const_dnnl_op_desc_t descriptor, soda_dense **dense)
{
    soda_dense *d = calloc(1, sizeof *d);
    if (!d) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = d; /* from here on release frees it */
    for (int i = 0; i < 3; i++) {
        d->in[i] = -1;
        d->in_copy[i] = SIZE_MAX;
    }
    d->out = d->scratch = -1;
    d->out_copy = SIZE_MAX;
    *dense = d;
    return onednn_create(&d->op, descriptor);
}

soda_status dense_bind_input(soda_dense *dense, int i, int arg, void *packed)
{
    if (!packed) dense->in[i] = dense->op.args;
    return onednn_bind(&dense->op, arg, packed);
}

soda_status dense_bind_turned(soda_dense *dense, const void *panels, int64_t rows, int64_t columns,
                              soda_dtype dtype)
{
    dense->panels = panels;
    dense->panels_dtype = dtype;
    dense->rows = rows;
    dense->columns = columns;
    dense->turned = dense->op.args;
    return onednn_bind(&dense->op, DNNL_ARG_WEIGHTS, NULL);
}

dnnl_data_type_t dense_bias_dtype(const soda_call *call, dnnl_data_type_t compute)
{
    if (call->inputs < 3 || call->in[2].shape.rank == 0) return dnnl_data_type_undef;
    return call->weight[2] ? dnnl_f32 : compute;
}

soda_status dense_bind_bias(soda_call *call, soda_weights *weights)
{
    if (call->inputs < 3 || call->in[2].shape.rank == 0) return SODA_OK;
    float *packed = NULL;
    if (call->weight[2]) TRY(pack_vector(weights, call->weight[2], &packed));
    return dense_bind_input(call->state, 2, DNNL_ARG_BIAS, packed);
}

/* Room in scratch for an fp32 copy of `tensor`, if oneDNN wants one. */
static size_t reserve_copy(const soda_dense *dense, int index, const soda_tensor *tensor,
                           size_t *bytes)
{
    if (index < 0 || tensor->dtype != SODA_BF16) return SIZE_MAX;
    const dnnl_memory_desc_t *md = onednn_layout(&dense->op, dense->op.arg[index].arg);
    if (md->data_type != dnnl_f32) return SIZE_MAX;
    const size_t at = *bytes;
    *bytes += ((size_t)shape_count(&tensor->shape) * sizeof(float) + 63) / 64 * 64;
    return at;
}

soda_status dense_finish(soda_call *call)
{
    soda_dense *d = call->state;
    d->out = d->op.args;
    TRY(onednn_bind(&d->op, DNNL_ARG_DST, NULL));
    size_t bytes = (onednn_scratch_bytes(&d->op) + 63) / 64 * 64;
    if (bytes) {
        d->scratch = d->op.args;
        TRY(onednn_bind(&d->op, DNNL_ARG_SCRATCHPAD, NULL));
    }
    for (int i = 0; i < 3 && i < call->inputs; i++)
        d->in_copy[i] = reserve_copy(d, d->in[i], &call->in[i], &bytes);
    d->out_copy = reserve_copy(d, d->out, &call->out[0], &bytes);
    d->turned_copy = bytes;
    if (d->panels) bytes += (size_t)(d->rows * d->columns) * dtype_bytes(d->panels_dtype);
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
    const soda_dense *d = call->state;
    char *scratch = call->scratch;
    for (int i = 0; i < 3; i++) {
        if (d->in[i] < 0) continue;
        const bool copied = d->in_copy[i] != SIZE_MAX;
        void *x = copied ? widen(&call->in[i], scratch + d->in_copy[i]) : call->in[i].data;
        TRY(onednn_point(&d->op, d->in[i], x));
    }
    if (d->panels) {
        void *turned = scratch + d->turned_copy;
        turn_panels(d->panels, d->rows, d->columns, d->panels_dtype, turned);
        TRY(onednn_point(&d->op, d->turned, turned));
    }
    const bool copied = d->out_copy != SIZE_MAX;
    void *y = copied ? scratch + d->out_copy : call->out[0].data;
    TRY(onednn_point(&d->op, d->out, y));
    if (d->scratch >= 0) TRY(onednn_point(&d->op, d->scratch, scratch));
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
